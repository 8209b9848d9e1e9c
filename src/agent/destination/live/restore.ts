/** Step 9: releases the wrappers and tells what became of the restore. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Migration } from '../../../api/migration.ts'
import { MIGRATIONS } from '../../../api/resources.ts'
import { criuErrors, explainCriu } from '../../criu-log.ts'
import { referenceOf } from '../../status.ts'
import { lazyLost, lazyState } from './lazy-pages.ts'
import { about, factsOf, type LiveAgent, namesOf, rfc3339, write } from './live-agent.ts'
import { destinationPod } from './open.ts'
import { awaitOutcome, lookAtRestore, openGates, putRootsBack, restoreLog } from './release.ts'
import * as report from './report.ts'
import { containerFolder, refuse, textOf } from './staging.ts'
import { judgeRestores, type LiveVerdict } from './verdict.ts'

/** The restore of a small pod takes a fifth of a second. */
const LOOK_MS = 2_000
const RESTORE_MS = 100
const MOUNT_AGAIN_MS = 50

export async function release(live: LiveAgent, migration: Migration, podUID: string): Promise<number | undefined> {
  const { deps, hostRoot, log } = live
  // What is still coming in is a repetition that nobody waits for.
  await deps.uploads.abort(migration.metadata.uid)
  const look = () => Promise.all(namesOf(migration).map((name) => lookAtRestore(hostRoot, deps, podUID, name)))
  const end = performance.now() + LOOK_MS
  let views = await look()
  let verdict = judgeRestores(views, live.now().getTime())
  if (verdict.kind === 'waiting' && views.some(({ usedAt }) => usedAt === undefined)) {
    // The informer may be minutes old; this is the only place where its word would start something.
    const [fresh, failure, pod] = await Promise.all([
      freshOf(live, migration),
      putBack(live, podUID, namesOf(migration)),
      destinationPod(live, migration),
    ])
    if (fresh === undefined || !report.isReleasable(fresh.status)) return RESTORE_MS
    if (failure) {
      // A container that has ended meanwhile took its mount point with it: then that is the reason.
      views = await look()
      const seen = judgeRestores(views, live.now().getTime())
      verdict = seen.kind === 'failed' ? seen : failure
    } else if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) {
      // Kubelet would end the program as soon as it runs. In this order: who has refused and sees none used knows that none will be.
      await refuse(hostRoot, podUID)
      views = await look()
      if (views.every(({ usedAt }) => usedAt === undefined)) verdict = podDeleted(namesOf(migration))
    } else {
      await openGates(hostRoot, podUID, views)
      log.info(about(live, migration), 'gates opened')
    }
  }
  while (verdict.kind === 'waiting' && performance.now() < end) {
    await awaitOutcome(hostRoot, podUID, views, RESTORE_MS)
    views = await look()
    verdict = judgeRestores(views, live.now().getTime())
  }
  if (verdict.kind === 'waiting') return RESTORE_MS
  if (verdict.kind === 'restored') {
    const runcMs = views.map(({ usedAt = 0, outcome }) => Math.round(Number((outcome?.at ?? 0n) / 1_000_000n) - usedAt))
    const facts = factsOf(live, migration)
    // The informer may tell of the write after the next look.
    if (!facts.isRestored) log.info({ ...about(live, migration), restoredAt: verdict.restoredAt, runcMs }, 'restored')
    facts.isRestored = true
    await write(live, migration, report.restored(verdict.restoredAt, rfc3339(live)))
  } else await reportFailure(live, migration, podUID, verdict)
  return undefined
}

const podDeleted = ([container = '']: readonly string[]) =>
  ({
    kind: 'failed',
    container,
    reason: 'DestinationPodDeleted',
    message:
      'the destination pod was deleted between the commit and the restore; the source goes on. Start the move again',
  }) as const

/** A root file system that cannot be mounted is a restore that cannot begin. */
async function putBack(live: LiveAgent, podUID: string, names: readonly string[]) {
  const { deps, hostRoot, log } = live
  const attempt = () => putRootsBack(hostRoot, deps, podUID, names)
  const began = performance.now()
  try {
    await attempt().catch(() => delay(MOUNT_AGAIN_MS).then(attempt))
    const ms = Math.round(performance.now() - began)
    log.info({ pod: podUID, ms }, 'root file systems put back')
    return undefined
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { kind: 'failed', container: names[0] ?? '', reason: 'RootNotMounted', message } as const
  }
}

async function reportFailure(
  live: LiveAgent,
  migration: Migration,
  podUID: string,
  verdict: LiveVerdict & { kind: 'failed' },
) {
  const { deps, hostRoot, log } = live
  const { container } = verdict
  const place = { hostRoot, jobs: deps.jobs, folder: containerFolder(podUID, container) }
  const own = criuErrors(await textOf(restoreLog(hostRoot, podUID, container)))
  const criuLog = own.length > 0 ? own : (await lazyLost(place, await lazyState(place))).criuLog
  const explained = explainCriu(criuLog)
  const reason = explained?.reason ?? verdict.reason
  const message = explained ? `${explained.message} (${verdict.message})` : verdict.message
  log.warn({ ...about(live, migration), reason, criuLog }, message)
  await write(live, migration, report.restoreFailed({ reason, message, criuLog }, rfc3339(live)))
}

async function freshOf(live: LiveAgent, migration: Migration): Promise<Migration | undefined> {
  const { client } = live
  const { namespace, name, uid } = referenceOf(migration)
  const fresh = await client.get(MIGRATIONS, namespace, name)
  return fresh.metadata.uid === uid ? fresh : undefined
}
