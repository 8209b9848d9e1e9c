/** After the commit: unpacks what was delivered, fills the container that waits, opens its gate and tells what became of it. */
import type { Migration } from '../../../api/migration.ts'
import { PodferryError } from '../../../errors.ts'
import { CHECKPOINT_TAG, checkpointRepository } from '../../../oci/repository.ts'
import { blobFile } from '../../../oci/storage.ts'
import { POD_UID_LABEL } from '../../runtime/cri.ts'
import { referenceOf } from '../../status.ts'
import { about, factsOf, namesOf, rfc3339, write } from '../live/live-agent.ts'
import { destinationPod } from '../live/open.ts'
import { errorOf, judgeReadiness } from '../live/readiness.ts'
import * as report from '../live/report.ts'
import { release } from '../live/restore.ts'
import { isAlive } from '../live/restorers.ts'
import { isUsed, markWhole, openStaging, readWaiting, refuse, type Waiting } from '../live/staging.ts'
import type { WrappedAgent } from './handler.ts'
import { fill, isFilled } from './stage.ts'
import { isUnpacked, type UnpackedPlace, unpack, wasReleased } from './unpacked.ts'

const LOOK_MS = 50
const POD_LOOK_MS = 1_000
/** Kubelet's own limits (mount 2 min, create 2 min, start 2 min) are over by then. */
const PATIENCE_MS = 7 * 60_000

export async function restore(agent: WrappedAgent, migration: Migration): Promise<number | undefined> {
  const podUID = migration.status?.destination?.podUID
  const [container] = namesOf(migration)
  if (podUID === undefined || container === undefined) return undefined
  const { hostRoot, log } = agent
  const place = { hostRoot, podUID, container }
  if (await isFilled(place)) return await release(agent, migration, podUID)
  if (await wasReleased(place)) {
    const message = `container ${container}: it was let go before, and nothing tells whether it has run; did the node reboot?`
    return await fail(agent, migration, podUID, { reason: 'StagingLost', message })
  }
  await openStaging(hostRoot, podUID, [container])
  await markWhole(hostRoot, podUID, container)
  const work = agent.works.look(podUID, async (signal) => {
    if (await isUnpacked(place)) return
    const began = performance.now()
    await unpack(place, await archiveOf(agent, migration, container), signal)
    log.info({ ...about(agent, migration), ms: Math.round(performance.now() - began) }, 'checkpoint unpacked')
  })
  if (work === 'running') return LOOK_MS
  if (work !== 'done') return await fail(agent, migration, podUID, failureOf(work.failed))
  const waiting = await readWaiting(hostRoot, podUID, container)
  if (!waiting || !(await isAlive(hostRoot, waiting))) return await lookAtPod(agent, migration, place)
  return await fillAndRelease(agent, migration, place, waiting)
}

/** The layer as it was delivered, in the storage of this node's own registry. */
async function archiveOf({ deps }: WrappedAgent, migration: Migration, container: string): Promise<string> {
  const { namespace, uid: migrationUID } = referenceOf(migration)
  const repository = checkpointRepository({ namespace, migrationUID, container })
  const digest = migration.status?.containers?.find(({ name }) => name === container)?.digest
  const found = await deps.registry.manifest(repository, digest ?? CHECKPOINT_TAG)
  const layer = found?.manifest.layers[0]
  if (layer !== undefined) return await blobFile(deps.storageRoot, layer.digest)
  const message = `the registry of this node has no ${repository} any more`
  throw new PodferryError({ reason: 'CheckpointUnreadable', message })
}

async function fillAndRelease(agent: WrappedAgent, migration: Migration, place: UnpackedPlace, waiting: Waiting) {
  const { deps, log } = agent
  const began = performance.now()
  try {
    await fill(place, waiting, deps, new AbortController().signal)
  } catch (error) {
    return await fail(agent, migration, place.podUID, failureOf(error))
  }
  log.info({ ...about(agent, migration), ms: Math.round(performance.now() - began) }, 'root file system filled')
  return await release(agent, migration, place.podUID)
}

/** Nobody waits yet. @returns when to look again, unless nobody ever will */
async function lookAtPod(agent: WrappedAgent, migration: Migration, { podUID, container }: UnpackedPlace) {
  const facts = factsOf(agent, migration)
  if (performance.now() - facts.podLookedAt < POD_LOOK_MS) return LOOK_MS
  facts.podLookedAt = performance.now()
  if (await isCold(agent, podUID, container)) {
    const message = `container ${container} was started afresh instead of from its checkpoint: RuntimeClass podferry is not podferry's own runtime on this node`
    return await fail(agent, migration, podUID, { reason: 'ColdStart', message })
  }
  const pod = await destinationPod(agent, migration)
  const now = agent.now().getTime()
  facts.failingSince = errorOf(pod) ? (facts.failingSince ?? now) : undefined
  const { failingSince } = facts
  const { status, reason, message } = judgeReadiness({
    first: container,
    waits: false,
    missingImages: [],
    pod,
    failingSince,
    now,
  })
  if (status === 'False') return await fail(agent, migration, podUID, { reason, message })
  if (pod === undefined || now - Date.parse(pod.metadata.creationTimestamp) < PATIENCE_MS) return LOOK_MS
  const late = `the destination pod was not made within ${PATIENCE_MS / 60_000} minutes (${message})`
  return await fail(agent, migration, podUID, { reason: 'RestoreTimedOut', message: late })
}

/** The runtime says that the program was started, and no wrapper has taken its state. */
async function isCold({ deps, hostRoot }: WrappedAgent, podUID: string, container: string): Promise<boolean> {
  const containers = await deps.cri.containers({ [POD_UID_LABEL]: podUID })
  const started = containers.some(({ metadata, startedAt }) => metadata.name === container && startedAt !== '0')
  return started && !(await isUsed(hostRoot, podUID, container))
}

async function fail(
  agent: WrappedAgent,
  migration: Migration,
  podUID: string,
  failure: { reason: string; message: string },
): Promise<undefined> {
  // Before the register: from the decision on, nothing may start here.
  await refuse(agent.hostRoot, podUID)
  agent.log.warn({ ...about(agent, migration), reason: failure.reason }, failure.message)
  await write(agent, migration, report.restoreFailed({ ...failure, criuLog: [] }, rfc3339(agent)))
  return undefined
}

const failureOf = (error: unknown) => ({
  reason: error instanceof PodferryError ? error.reason : 'CheckpointUnreadable',
  message: error instanceof Error ? error.message : String(error),
})
