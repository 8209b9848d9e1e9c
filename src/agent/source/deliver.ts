/** The archives' way to the destination agent: again and again until they are there or nobody wants them any more. */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { condition } from '../../api/conditions.ts'
import type { Migration, MigrationStatus } from '../../api/migration.ts'
import { NODES } from '../../api/resources.ts'
import { PodferryError } from '../../errors.ts'
import { backoffMs } from '../../kube/backoff.ts'
import type { AgentContext } from '../context.ts'
import { referenceOf, writeStatus } from '../status.ts'
import type { SourceDependencies } from './dependencies.ts'
import type { SourceEntry } from './entry.ts'

const BACKOFF = { baseMs: 250, maxMs: 10_000 }
const PROGRESS_MS = 5_000

/** Resolves when every archive has arrived; rejects with an AbortError when the signal says that nobody wants them. */
export async function deliver(
  ctx: AgentContext,
  deps: SourceDependencies,
  migration: Migration,
  entry: SourceEntry,
  signal: AbortSignal,
): Promise<void> {
  const { log } = ctx
  const { namespace, name, uid } = referenceOf(migration)
  let arrived = 0
  for (const { container, path, bytes } of entry.archives) {
    for (let failures = 1; ; failures++) {
      const progress = reporter(ctx, migration, arrived)
      const began = performance.now()
      try {
        const node = await destination(ctx, migration)
        const { manifestDigest } = await deps.send({
          node,
          namespace,
          migrationName: name,
          migrationUID: uid,
          container,
          archivePath: join(ctx.hostRoot, path),
          signal,
          onProgress: progress.report,
        })
        const ms = Math.round(performance.now() - began)
        log.info({ migration: name, container, bytes, ms, digest: manifestDigest, to: node.name }, 'archive delivered')
        break
      } catch (error) {
        signal.throwIfAborted()
        const waitMs = backoffMs(BACKOFF, failures, Math.random())
        log.warn({ migration: name, container, err: error, failures, waitMs }, 'delivery failed; sending again')
        await delay(waitMs, undefined, { signal })
      } finally {
        await progress.settled()
      }
    }
    arrived += bytes
  }
}

/** Looked up each time: a node that was replaced may come back under another address. */
export async function destination(
  { client }: AgentContext,
  { status }: Migration,
): Promise<{ name: string; address: string }> {
  const name = status?.destination?.node ?? ''
  const node = await client.get(NODES, undefined, name)
  const address = node.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address
  if (address === undefined) {
    throw new PodferryError({
      reason: 'NodeAddressMissing',
      message: `node ${name} has no InternalIP in status.addresses; its kubelet or cloud provider must set one`,
      retry: 'backoff',
    })
  }
  return { name, address }
}

/** Writes how far it is, seldom and beside the transfer; a write that fails is made up for by the next. */
function reporter({ client, log }: AgentContext, migration: Migration, arrived: number) {
  let last = performance.now()
  let writing: Promise<void> | undefined
  const write = async (sentBytes: number) => {
    await writeStatus(client, referenceOf(migration), (status) => withProgress(status, sentBytes)).catch((err) =>
      log.debug({ err }, 'progress not written'),
    )
    writing = undefined
  }
  return {
    report(bytes: number) {
      if (writing !== undefined || performance.now() - last < PROGRESS_MS) return
      last = performance.now()
      writing = write(arrived + bytes)
    },
    settled: async () => writing,
  }
}

function withProgress(status: MigrationStatus, sentBytes: number): MigrationStatus {
  if (condition(status, 'Committed') !== undefined || status.transfer?.sentBytes === sentBytes) return status
  return { ...status, transfer: { ...status.transfer, sentBytes } }
}
