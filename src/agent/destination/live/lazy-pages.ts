/** `criu lazy-pages` of one container: the daemon that fetches the memory the restored process does not have yet. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { PodferryError } from '../../../errors.ts'
import { criuErrors } from '../../criu-log.ts'
import { freezerFolder, type PodCgroup } from '../../fence/pod-cgroup.ts'
import { letThrough, makeGate } from '../../jobs/gates.ts'
import type { JobState, Jobs } from '../../jobs/jobs.ts'
import { exists, textOf } from './staging.ts'

const JOB = 'lazy'
/** In the container's staging folder; the page keeper looks at it too. */
export const EXIT_FILE = `${JOB}.exit`
export const PID_FILE = `${JOB}.pid`
const POLL_MS = 3
const START_MS = 20_000

/** Gone as soon as the daemon may begin: see `prepareLazy`. */
const GATE = `${JOB}.gate`

/**
 * Reads the page keeper's port, then is the daemon. When the daemon dies, the kernel gives the process zeros for memory that has
 * not arrived. So whoever outlives the daemon freezes the pod within a millisecond, also while no agent runs; only what was
 * restored, hence `used`.
 */
const GUARD =
  'used=$1 freezer=$2 word=$3; shift 3; read -r port || exit 1; "$@" --port "$port" </dev/null; code=$?; ' +
  '[ "$code" = 0 ] || [ ! -e "$used" ] || echo "$word" >"$freezer"; exit "$code"'

export interface LazyPlace {
  hostRoot: string
  jobs: Jobs
  /** The container's staging folder on the node. */
  folder: string
}

/** One that still waits for its images is `absent`. */
export const lazyState = async ({ hostRoot, jobs, folder }: LazyPlace): Promise<JobState> =>
  (await exists(join(hostRoot, folder, GATE))) ? { is: 'absent' } : await jobs.state(folder, JOB)

export const killLazy = ({ jobs, folder }: LazyPlace): Promise<void> => jobs.kill(folder, JOB)

/**
 * The daemon up to its first instruction, which waits for the images: starting it takes longer than all that it does before it can be
 * restored with, and the pod stands still then. Nothing when it waits already.
 *
 * @param cgroup of the destination pod; undefined when it has no process, which then cannot be restored either
 */
export async function prepareLazy(place: LazyPlace, cgroup: PodCgroup | undefined): Promise<void> {
  const { hostRoot, jobs, folder } = place
  const gate = join(hostRoot, folder, GATE)
  if ((await exists(gate)) && (await jobs.state(folder, JOB)).is === 'running') return
  for (const name of ['image', 'work']) await mkdir(join(hostRoot, folder, name), { recursive: true, mode: 0o700 })
  await makeGate(gate)
  const [image, work] = [`${folder}/image`, `${folder}/work`]
  const criu = ['criu', 'lazy-pages', '-D', image, '-W', work, '--page-server', '--address', '127.0.0.1']
  const argv = ['/bin/sh', '-c', GUARD, 'podferry-guard', `${folder}/used`, ...freezer(cgroup), ...criu]
  await jobs.start({
    ...{ folder, name: JOB, argv: [...argv, '-v1', '-o', 'lazy.log'] },
    ...{ onNode: true, cwd: work, gate: `${folder}/${GATE}` },
  })
}

/** An empty `image` folder for what arrives. */
export async function clearImages({ hostRoot, folder }: LazyPlace): Promise<string> {
  const image = join(hostRoot, folder, 'image')
  await rm(image, { recursive: true, force: true })
  await mkdir(image, { recursive: true, mode: 0o700 })
  return image
}

/**
 * Once the images are there.
 *
 * @param port of the page keeper on the node's loopback
 * @param findCgroup see `prepareLazy`; asked only when what was prepared is not there any more
 */
export async function startLazy(
  place: LazyPlace,
  port: number,
  findCgroup: () => Promise<PodCgroup | undefined>,
): Promise<void> {
  const gate = join(place.hostRoot, place.folder, GATE)
  for (let attempt = 0; attempt < 2; attempt++) {
    if (await letThrough(gate, String(port))) return
    await prepareLazy(place, await findCgroup())
  }
  throw await lazyLost(place, await place.jobs.state(place.folder, JOB))
}

const freezer = (cgroup: PodCgroup | undefined): [file: string, word: string] => {
  if (cgroup === undefined) return ['/dev/null', '']
  const folder = freezerFolder(cgroup)
  return cgroup.version === 1 ? [`${folder}/freezer.state`, 'FROZEN'] : [`${folder}/cgroup.freeze`, '1']
}

/**
 * Resolves when the daemon can be restored with.
 *
 * @throws PodferryError `LazyPagesLost` with CRIU's words when it has ended, or is not there after twenty seconds
 */
export async function awaitLazy(place: LazyPlace, signal: AbortSignal): Promise<void> {
  const socket = join(place.hostRoot, place.folder, 'work/lazy-pages.socket')
  const end = Date.now() + START_MS
  for (;;) {
    // In this order: a socket stays behind when its daemon dies.
    const isThere = await exists(socket)
    const state = await lazyState(place)
    if (isThere && state.is === 'running') return
    if (state.is !== 'running' || Date.now() > end) throw await lazyLost(place, state)
    await delay(POLL_MS, undefined, { signal })
  }
}

/** What the daemon's end means, in its own words. */
export async function lazyLost({ hostRoot, folder }: LazyPlace, state: JobState): Promise<PodferryError> {
  const log = await textOf(join(hostRoot, folder, 'work/lazy.log'))
  const said = (await textOf(join(hostRoot, folder, `${JOB}.log`))).trim().slice(-500)
  const how =
    state.is === 'ended'
      ? `ended with exit code ${state.exitCode}`
      : state.is === 'running'
        ? 'does not answer'
        : 'is gone'
  const message = `criu lazy-pages of ${folder} on the destination node ${how}${said ? `: ${said}` : ''}`
  return new PodferryError({ reason: 'LazyPagesLost', message, criuLog: criuErrors(log) })
}
