/** `podferry migrate deployment/NAME`: a Migration for each pod, so many at a time, until the last has ended. */
import { isFinished } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { formatDuration } from '../../api/timestamps.ts'
import { KubeError } from '../../kube/error.ts'
import type { Session } from '../connection-options.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { follow } from '../follow.ts'
import { type Io, say } from '../io.ts'
import { endingOf } from '../output/ending.ts'
import { type Output, qualifiedName } from '../output/objects.ts'
import { formatTransition, transitionsOf } from '../output/transitions.ts'
import { AFTER_COMMIT_MS, create } from './create.ts'
import type { NewMigration } from './new-migration.ts'

interface Together {
  session: Session
  io: Io
  output: Output | undefined
  /** So many pods are under way at the same time. */
  parallel: number
}

/** How one pod's move came out. */
interface Result {
  pod: string
  exitCode: ExitCode
  downtimeMs?: number
}

/** Ctrl-C lets those under way go on and begins no other. @returns the exit code of the worst */
export async function moveAll(objects: readonly NewMigration[], together: Together): Promise<ExitCode> {
  const { io, parallel } = together
  const interrupt = io.catchInterrupt()
  const left = [...objects]
  const results: Result[] = []
  const worker = async () => {
    for (let next = left.shift(); next !== undefined && !interrupt.aborted; next = left.shift())
      results.push(await moveOne(next, together, interrupt))
  }
  await Promise.all(Array.from({ length: Math.min(parallel, objects.length) }, worker))
  tellAll(objects.length, results, together)
  if (interrupt.aborted) return EXIT.interrupted
  return WORST_FIRST.find((code) => results.some(({ exitCode }) => exitCode === code)) ?? EXIT.done
}

const WORST_FIRST: readonly ExitCode[] = [EXIT.failed, EXIT.migrationFailed, EXIT.timedOut]

async function moveOne(
  object: NewMigration,
  { session, io, output }: Together,
  interrupt: AbortSignal,
): Promise<Result> {
  const pod = object.spec.podName
  try {
    const created = await create(object, false, session)
    const { namespace = 'default', name } = created.metadata
    if (output === 'name') say(io.stdout, [qualifiedName(name)])
    const limitMs = created.spec.timeoutSeconds * 1000 + AFTER_COMMIT_MS
    const signal = AbortSignal.any([interrupt, AbortSignal.timeout(limitMs)])
    const onFailure = (error: Error) => say(io.stderr, [`${name}: ${error.message}; trying again`])
    let last: Migration = created
    for await (const seen of follow({ client: session.client, namespace, name, signal, onFailure })) {
      tellTransitions(last, seen, io, output)
      last = seen
      if (isFinished(seen.status)) break
    }
    if (isFinished(last.status)) return tellEnding(last, io, output)
    if (interrupt.aborted) say(io.stderr, [`interrupted: the migration ${namespace}/${name} goes on`])
    else say(io.stderr, [`error: ${namespace}/${name} has not ended, or was deleted before that`])
    return { pod, exitCode: EXIT.timedOut }
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    // The others are not this one's fault.
    say(io.stderr, [`error: no Migration for pod ${pod}: ${error.message}`])
    return { pod, exitCode: EXIT.failed }
  }
}

function tellTransitions(before: Migration, after: Migration, io: Io, output: Output | undefined): void {
  const transitions = transitionsOf(before, after)
  if (output === 'json') for (const transition of transitions) say(io.stdout, [JSON.stringify(transition)])
  else if (output === 'wide') for (const transition of transitions) say(io.stderr, [formatTransition(transition)])
}

function tellEnding(migration: Migration, io: Io, output: Output | undefined): Result {
  const { exitCode, lines } = endingOf(migration, io.program)
  const downtimeMs = migration.status?.timings?.downtimeMs
  if (exitCode !== EXIT.done) say(io.stderr, lines)
  else if (output === undefined || output === 'wide') say(io.stdout, lines.slice(0, 2))
  return { pod: migration.spec.podName, exitCode, ...(downtimeMs === undefined ? {} : { downtimeMs }) }
}

function tellAll(wanted: number, results: readonly Result[], { io, output }: Together): void {
  if (output !== undefined && output !== 'wide') return
  const moved = results.filter(({ exitCode }) => exitCode === EXIT.done)
  const downtimes = moved.flatMap(({ downtimeMs }) => downtimeMs ?? [])
  const range =
    downtimes.length === 0
      ? ''
      : `, downtime ${formatDuration(Math.min(...downtimes))} to ${formatDuration(Math.max(...downtimes))}`
  say(io.stdout, [`${moved.length} of ${wanted} pods moved${range}`])
}
