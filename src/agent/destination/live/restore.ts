/** Step 9: releases the wrappers and tells what became of the restore. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Migration } from '../../../api/migration.ts'
import { MIGRATIONS } from '../../../api/resources.ts'
import { criuErrors, explainCriu } from '../../criu-log.ts'
import { referenceOf } from '../../status.ts'
import { lazyLost, lazyState } from './lazy-pages.ts'
import { about, factsOf, type LiveAgent, namesOf, rfc3339, write } from './live-agent.ts'
import { destinationPod } from './open.ts'
import { awaitOutcome, lookAtRestore, openGate, putRootBack, restoreLog } from './release.ts'
import * as report from './report.ts'
import { containerFolder, isWhole, refuse, textOf } from './staging.ts'
import { judgeRestores, type LiveVerdict, nextToOpen } from './verdict.ts'

/** The restore of a small pod takes a fifth of a second. */
const LOOK_MS = 2_000
const RESTORE_MS = 100
const MOUNT_AGAIN_MS = 50

export async function release(live: LiveAgent, migration: Migration, podUID: string): Promise<number | undefined> {
  const { deps, hostRoot, log } = live
  // What is still coming in is a repetition that nobody waits for.
  await deps.uploads.abort(migration.metadata.uid)
  const look = () => Promise.all(namesOf(migration).map((name) => lookAtRestore(hostRoot, deps, podUID, name)))
  const opened = new Set<string>()
  let views = await look()
  let verdict = judgeRestores(views, live.now().getTime())
  for (const end = performance.now() + LOOK_MS; verdict.kind === 'waiting'; ) {
    const next = nextToOpen(views)
    if (next && !opened.has(next.name)) {
      opened.add(next.name)
      const answer = await openNext(live, migration, podUID, next.name)
      if (answer === 'not now') return RESTORE_MS
      // A container that has ended meanwhile took its mount point with it: then that is the reason.
      views = await look()
      verdict = judgeRestores(views, live.now().getTime())
      // Before the last one nothing runs.
      if (verdict.kind === 'waiting' && answer !== 'opened' && views.at(-1)?.usedAt === undefined) verdict = answer
      continue
    }
    if (performance.now() >= end) return RESTORE_MS
    await awaitOutcome(hostRoot, podUID, views, RESTORE_MS)
    views = await look()
    verdict = judgeRestores(views, live.now().getTime())
  }
  if (verdict.kind === 'failed') {
    await reportFailure(live, migration, podUID, verdict)
    return undefined
  }
  if (views.length > 1) await letRun(live, podUID)
  const runcMs = views.map(({ usedAt = 0, outcome }) => Math.round(Number((outcome?.at ?? 0n) / 1_000_000n) - usedAt))
  const facts = factsOf(live, migration)
  // The informer may tell of the write after the next look.
  if (!facts.isRestored) log.info({ ...about(live, migration), restoredAt: verdict.restoredAt, runcMs }, 'restored')
  facts.isRestored = true
  await write(live, migration, report.restored(verdict.restoredAt, rfc3339(live)))
  return undefined
}

type Failed = LiveVerdict & { kind: 'failed' }

/** Opens the gate of one container; the informer may be minutes old, and this is the only place where its word would start something. */
async function openNext(
  live: LiveAgent,
  migration: Migration,
  podUID: string,
  name: string,
): Promise<'opened' | 'not now' | Failed> {
  const { hostRoot, log } = live
  const names = namesOf(migration)
  const [fresh, failure, pod] = await Promise.all([
    freshOf(live, migration),
    putBack(live, podUID, name, name !== names[0]),
    destinationPod(live, migration),
  ])
  if (fresh === undefined || !report.isReleasable(fresh.status)) return 'not now'
  if (failure) return failure
  if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) {
    // Kubelet would end the program as soon as it runs. Who has refused and then sees none used knows that none will be.
    await refuse(hostRoot, podUID)
    return podDeleted(names)
  }
  await openGate(hostRoot, podUID, name)
  log.info({ ...about(live, migration), container: name }, 'gate opened')
  return 'opened'
}

/** CRIU's hook has done so when the last container ran; it may have been killed. */
async function letRun({ deps }: LiveAgent, podUID: string): Promise<void> {
  const cgroup = await deps.fence.find(podUID)
  if (cgroup) await deps.fence.thawWithin(cgroup)
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
async function putBack(live: LiveAgent, podUID: string, container: string, isLater: boolean) {
  const { deps, hostRoot, log } = live
  const attempt = () => putRootBack(hostRoot, deps, podUID, container, isLater)
  const began = performance.now()
  try {
    await attempt().catch(() => delay(MOUNT_AGAIN_MS).then(attempt))
    const ms = Math.round(performance.now() - began)
    log.info({ pod: podUID, container, ms }, 'root file system put back')
    return undefined
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { kind: 'failed', container, reason: 'RootNotMounted', message } as const
  }
}

async function reportFailure(live: LiveAgent, migration: Migration, podUID: string, verdict: Failed) {
  const { deps, hostRoot, log } = live
  const { container } = verdict
  const place = { hostRoot, jobs: deps.jobs, folder: containerFolder(podUID, container) }
  const own = criuErrors(await textOf(restoreLog(hostRoot, podUID, container)))
  const isOwn = own.length > 0 || (await isWhole(hostRoot, podUID, container))
  const criuLog = isOwn ? own : (await lazyLost(place, await lazyState(place))).criuLog
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
