/** From the fence to the commit: everything that the destination needs for its first instruction. */

import { join } from 'node:path'
import { allSettled } from '../../../all-settled.ts'
import type { Migration } from '../../../api/migration.ts'
import { backoffMs } from '../../../kube/backoff.ts'
import { isNotFound } from '../../../kube/error.ts'
import type { AgentContext } from '../../context.ts'
import { referenceOf, writeStatus } from '../../status.ts'
import { tellPod } from '../pods.ts'
import { commit } from './commit.ts'
import type { LiveSourceDependencies } from './dependencies.ts'
import type { LiveEntry } from './entry.ts'
import { containerFolder, imageFolder } from './places.ts'
import { fileRoot, type Prepared, rootsOf } from './precopy.ts'
import * as report from './report.ts'
import { isGivenUp, type Part, packed, sendAll } from './send.ts'

/** The pod stands still meanwhile: rather give up than wait. */
const PATIENCE_MS = 30_000
const STORAGE_PATIENCE_MS = 20_000
const BACKOFF = { baseMs: 50, maxMs: 2_000 }

/**
 * Reports the fence, sends images and changed files beside that, then commits.
 *
 * @param prepared of the same process; an agent that was restarted has none and sends everything from the beginning
 * @throws an AbortError when the signal says that nobody wants it any more
 */
export async function deliver(
  ctx: AgentContext,
  deps: LiveSourceDependencies,
  options: { migration: Migration; entry: LiveEntry; prepared?: Prepared | undefined; signal: AbortSignal },
): Promise<void> {
  const { migration, entry, prepared, signal } = options
  const began = ctx.now().getTime()
  const stage = async (): Promise<number> => {
    const roots = prepared?.roots ?? (await rootsOf(ctx, deps, entry))
    const filled = await allSettled(roots.map((root) => deps.files.isNeeded(root)))
    const parts = [
      ...entry.containers.map(({ name }) => images(ctx, deps, entry.uid, name)),
      ...roots.filter((_, index) => filled[index]).map((root) => fileRoot(ctx, deps, entry.uid, root, 1)),
    ]
    const sending = { migration, entry, peer: prepared?.peer, patienceMs: PATIENCE_MS, signal }
    const [sent] = await allSettled([
      sendAll(ctx, deps, sending, parts),
      deps.storage.sync(entry.pod, STORAGE_PATIENCE_MS),
    ])
    return sent.bytes
  }
  if (prepared === undefined) {
    const told = await sayFenced(ctx, deps, entry, signal, report.resumed)
    if (told === undefined || !report.isCommittable(told.status ?? {})) return
  }
  const both = await allSettled([stage(), sayFenced(ctx, deps, entry, signal)]).catch(async (error) => {
    signal.throwIfAborted()
    if (!isGivenUp(error)) throw error
    const { reason, message } = error
    await writeStatus(ctx.client, referenceOf(migration), report.lost({ reason, message, criuLog: [] }, now(ctx)))
    return undefined
  })
  if (both?.[1] === undefined) return
  const [bytes, seen] = both
  const staged = ctx.now().getTime()
  const measured = { stageMs: staged - began, filesystemBytes: (entry.filesystemBytes ?? 0) + bytes }
  if (!(await commit(ctx, deps, { entry, seen, staged: measured, signal }))) return
  const commitMs = ctx.now().getTime() - staged
  ctx.log.info({ migration: entry.name, pod: entry.pod.name, ...measured, commitMs }, 'committed')
  await deps.journal.write({ ...entry, commitMs })
}

const images = ({ hostRoot }: AgentContext, { files }: LiveSourceDependencies, uid: string, container: string): Part =>
  packed(
    `images of ${container}`,
    () => files.packImages(join(hostRoot, imageFolder(containerFolder(uid, container)))),
    (peer, body) => peer.sendImages({ container, body }),
  )

/** Writes `Checkpointed=True`; again and again, as nothing else can be done without the API server. */
async function sayFenced(
  ctx: AgentContext,
  deps: LiveSourceDependencies,
  entry: LiveEntry,
  signal: AbortSignal,
  change = report.checkpointed,
): Promise<Migration | undefined> {
  for (let failures = 1; ; failures++) {
    try {
      const written = await writeStatus(ctx.client, entry, change(entry, now(ctx)))
      const message = `checkpointed for Migration ${entry.name}; frozen until it has moved or runs on`
      tellPod(deps.recorder, entry, 'Frozen', message)
      return written
    } catch (error) {
      if (isNotFound(error)) return undefined
      signal.throwIfAborted()
      ctx.log.warn({ migration: entry.name, err: error, failures }, 'Checkpointed is not written; trying again')
      await deps.sleep(backoffMs(BACKOFF, failures, Math.random()), signal)
    }
  }
}

const now = (ctx: AgentContext): string => ctx.now().toISOString()
