/** The destination side of Migrations whose pod comes to this node: looks, plans, does the next thing that is missing. */
import { setTimeout as delay } from 'node:timers/promises'
import { isFinished } from '../../api/conditions.ts'
import type { Migration, MigrationStatus } from '../../api/migration.ts'
import { MIGRATIONS, PODS } from '../../api/resources.ts'
import { type CheckpointName, checkpointImageReference } from '../../oci/repository.ts'
import type { AgentContext, MigrationHandler } from '../context.ts'
import { explainCriu } from '../criu-log.ts'
import { POD_UID_LABEL } from '../runtime/cri.ts'
import { referenceOf, writeStatus } from '../status.ts'
import { delivered, EVENT_PATIENCE_MS, findArrived } from './deliver-check.ts'
import type { DestinationDependencies } from './dependencies.ts'
import { leaveAlias, pointAlias } from './images.ts'
import { findCheckpoints, leftoversOf, removeEverywhere, removeFromRegistry, removeLeftover } from './leftovers.ts'
import { isFinal, judgeRestore, type RestoreView } from './observe.ts'
import { type DestinationAction, plan } from './plan.ts'
import { prepare } from './prepare.ts'
import { remains } from './remains.ts'
import * as report from './report.ts'
import { podNamed, suspectPods } from './suspect-pods.ts'

export interface DestinationHandler extends MigrationHandler {
  /** Removes what nobody needs any more: aliases whose pod is gone, remains of crashes. Call it every few minutes. */
  sweep(): Promise<void>
}

const PREPARE_MS = 500
const DELIVERY_MS = 2_000
const OBSERVE_MS = 150
const REMOVE_MS = 300
/** A container whose image was resolved before it was taken away is seen by then. */
const SETTLE_MS = 1_000

export function createDestinationHandler(ctx: AgentContext, deps: DestinationDependencies): DestinationHandler {
  const { client, log, nodeName } = ctx
  const { cri, uploads, restoreLogs } = deps
  const now = () => ctx.now().toISOString()
  /** What may have to be taken away when the object is gone without a word. */
  const known = new Map<string, Migration>()
  const failingSince = new Map<string, number>()
  const checkpointSeenAt = new Map<string, number>()

  const write = (migration: Migration, change: (status: MigrationStatus) => MigrationStatus) =>
    writeStatus(client, referenceOf(migration), change)

  const act = async (action: DestinationAction, migration: Migration): Promise<number | undefined> => {
    switch (action.do) {
      case 'wait':
        return undefined
      case 'prepare':
        return await getReady(migration)
      case 'checkDelivery':
        return await checkDelivery(migration)
      case 'observe':
        return await observe(migration)
      case 'settle':
        return await settle(migration)
      case 'remove':
        return await remove(migration)
      case 'cleanUp':
        return await cleanUp(migration)
    }
  }

  const getReady = async (migration: Migration) => {
    const source = await podNamed(client, migration, migration.spec.podName)
    const found = await prepare(deps, migration, source, ctx.now())
    await write(migration, report.readiness(found, now()))
    log.debug({ ...about(migration), ...found }, 'readiness')
    return found.status === 'Unknown' ? PREPARE_MS : undefined
  }

  const checkDelivery = async (migration: Migration) => {
    const { uid } = migration.metadata
    if (uploads.isActive(uid)) return DELIVERY_MS
    const seenAt = checkpointSeenAt.get(uid) ?? performance.now()
    checkpointSeenAt.set(uid, seenAt)
    const quietMs = uploads.sinceLast(uid) ?? performance.now() - seenAt
    if (quietMs < EVENT_PATIENCE_MS) return EVENT_PATIENCE_MS - quietMs
    const arrived = await findArrived(deps.registry, migration)
    if (arrived.length > 0) await write(migration, delivered(arrived, now()))
    return DELIVERY_MS
  }

  const observe = async (migration: Migration) => {
    const { uid } = migration.metadata
    const { podName, podUID } = migration.status?.destination ?? {}
    restoreLogs.hold(uid)
    // Only the pod with the UID that the controller wrote is ours; the label can be on any pod.
    if (podName === undefined || podUID === undefined) return OBSERVE_MS
    const look = async (): Promise<RestoreView> => {
      const [pod, attempts] = await Promise.all([
        podNamed(client, migration, podName),
        cri.containers({ [POD_UID_LABEL]: podUID }),
      ])
      const expected = new Map(namesOf(migration).map((name) => [name.container, checkpointImageReference(name)]))
      const own = pod?.metadata.uid === podUID ? pod : undefined
      return { pod: own, attempts, expected, failingSince: failingSince.get(uid), now: ctx.now().getTime() }
    }
    const view = await look()
    const verdict = judgeRestore(view)
    if (verdict.kind === 'waiting') {
      if (!verdict.failing) failingSince.delete(uid)
      else if (!failingSince.has(uid)) failingSince.set(uid, ctx.now().getTime())
      return OBSERVE_MS
    }
    if (verdict.kind === 'restored') {
      log.info({ ...about(migration), restoredAt: verdict.restoredAt }, 'restored')
      // Before anybody is told: from the first instruction on, a restart must be an ordinary one.
      await pointAliases(migration)
      await write(migration, report.restored(verdict.restoredAt, now()))
      return undefined
    }
    // What kubelet has told may be older than its next try: a copy that begins to run while it is given up would do work in vain.
    await removeEverywhere(deps, namesOf(migration))
    await delay(SETTLE_MS)
    if (!isFinal(await look())) return OBSERVE_MS
    const criuLog = await restoreLogs.errors(view.attempts.map(({ id }) => id))
    const explained = explainCriu(criuLog)
    const reason = explained?.reason ?? verdict.reason
    const message = explained ? `${explained.message} (${verdict.message})` : verdict.message
    log.warn({ ...about(migration), reason, criuLog }, message)
    await write(migration, report.restoreFailed({ reason, message, criuLog }, now()))
    return undefined
  }

  const pointAliases = async (migration: Migration) => {
    for (const { name, imageID } of migration.status?.containers ?? []) {
      await pointAlias(deps, checkpointName(migration, name), imageID).catch((err) =>
        log.warn({ ...about(migration), err }, 'a restart of the container would restore it again; trying again later'),
      )
    }
  }

  const settle = async (migration: Migration) => {
    restoreLogs.release(migration.metadata.uid)
    for (const { name, imageID } of migration.status?.containers ?? []) {
      await leaveAlias(deps, checkpointName(migration, name), imageID)
    }
    for (const name of namesOf(migration)) await removeFromRegistry(deps, name)
    await finish(migration, report.cleaned(now()), 'the destination pod is an ordinary pod now')
    return undefined
  }

  const remove = async (migration: Migration) => {
    const { uid: migrationUID } = migration.metadata
    await takeAway(migration)
    const { namespace } = referenceOf(migration)
    const podUID = migration.status?.destination?.podUID
    const pods = await suspectPods(client, migration)
    const left = await remains(cri, { namespace, migrationUID, podUID, pods, self: nodeName })
    if (left.length > 0) {
      log.debug({ ...about(migration), left }, 'waiting for the destination pod to end')
      return REMOVE_MS
    }
    await finish(migration, report.removed(now()), 'nothing of the destination pod runs or can run')
    return undefined
  }

  const cleanUp = async (migration: Migration) => {
    await takeAway(migration)
    await finish(migration, report.cleaned(now()), 'nothing is left on this node')
    return undefined
  }

  const takeAway = async (migration: Migration) => {
    const { uid } = migration.metadata
    await uploads.abort(uid)
    await removeEverywhere(deps, namesOf(migration))
    restoreLogs.release(uid)
  }

  const finish = async (migration: Migration, change: (status: MigrationStatus) => MigrationStatus, words: string) => {
    await write(migration, change)
    forgetFacts(migration.metadata.uid)
    log.info(about(migration), words)
  }

  const forgetFacts = (uid: string) => {
    for (const facts of [known, failingSince, checkpointSeenAt]) facts.delete(uid)
  }

  const about = (migration: Migration) => ({
    migration: `${migration.metadata.namespace}/${migration.metadata.name}`,
    pod: migration.status?.destination?.podName ?? migration.spec.podName,
    node: nodeName,
  })

  return {
    async reconcile(migration) {
      const action = plan(migration.status, nodeName)
      if (action.do !== 'wait') known.set(migration.metadata.uid, migration)
      return await act(action, migration)
    },

    async forget(uid) {
      const migration = known.get(uid)
      restoreLogs.release(uid)
      if (!migration) return
      await uploads.abort(uid)
      // Deleted by force in the middle. A pod that runs keeps an image to start again from; anything else goes.
      const pods = await suspectPods(client, migration)
      const isRunning = pods.some(({ spec, status }) => spec.nodeName === nodeName && status?.phase === 'Running')
      if (isRunning && migration.status?.destination?.restorer !== 'Wrapper') {
        for (const { name, imageID } of migration.status?.containers ?? []) {
          await leaveAlias(deps, checkpointName(migration, name), imageID)
        }
        for (const name of namesOf(migration)) await removeFromRegistry(deps, name)
      } else {
        await removeEverywhere(deps, namesOf(migration))
      }
      forgetFacts(uid)
    },

    async sweep() {
      const found = await findCheckpoints(deps)
      if (found.length === 0) return
      // Read after the images were found: what came later is not among them.
      const [migrations, pods] = await Promise.all([
        client.list(MIGRATIONS),
        client.list(PODS, { fieldSelector: `spec.nodeName=${nodeName}` }),
      ])
      const active = migrations.items.filter(({ status }) => !isFinished(status)).map(({ metadata }) => metadata.uid)
      const leftovers = leftoversOf(found, new Set(active), pods.items)
      for (const leftover of leftovers) await removeLeftover(deps, leftover)
      if (leftovers.length > 0) log.info({ node: nodeName, removed: leftovers }, 'leftovers removed')
    },
  }
}

const checkpointName = (migration: Migration, container: string): CheckpointName => {
  const { namespace, uid: migrationUID } = referenceOf(migration)
  return { namespace, migrationUID, container }
}

const namesOf = (migration: Migration): CheckpointName[] =>
  (migration.status?.containers ?? []).map(({ name }) => checkpointName(migration, name))
