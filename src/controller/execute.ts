/** The effects of a plan. Each is idempotent: done twice, or done after it was already done, it changes nothing. */
import type { Logger } from 'pino'
import type { Migration, MigrationStatus } from '../api/migration.ts'
import { FINALIZER, RECOVER_ANNOTATION } from '../api/names.ts'
import { MIGRATIONS, PODS } from '../api/resources.ts'
import type { KubeClient } from '../kube/client.ts'
import { isAlreadyExists, isConflict, isNotFound } from '../kube/error.ts'
import type { EventRecorder } from '../kube/events.ts'
import type { Snapshot } from './snapshot.ts'
import type { Command, Plan } from './step.ts'

export interface ExecuteDeps {
  client: KubeClient
  log: Logger
  recorder: Pick<EventRecorder, 'event'>
  /** Asked right before each effect: a controller that lost its lease must not act any more. */
  mayAct(): boolean
}

/**
 * Carries a plan out. A status that somebody else changed meanwhile is left alone: the change itself wakes us to plan anew.
 *
 * @throws KubeError when the API server did not do what was asked
 */
export async function execute(deps: ExecuteDeps, snapshot: Snapshot, plan: Plan): Promise<void> {
  if (plan.status) await writeStatus(deps, snapshot, plan.status)
  for (const command of plan.commands ?? []) if (deps.mayAct()) await carryOut(deps, snapshot, command)
}

const writeStatus = (
  { client, mayAct }: ExecuteDeps,
  { migration }: Snapshot,
  status: MigrationStatus,
): Promise<void> =>
  ignoring(isConflict, async () => {
    if (mayAct()) await client.replaceStatus(MIGRATIONS, { ...migration, status })
  })

async function carryOut(deps: ExecuteDeps, { migration }: Snapshot, command: Command): Promise<void> {
  const { client, log } = deps
  const { name, namespace = 'default' } = migration.metadata
  log.info({ migration: `${namespace}/${name}`, ...describe(command) }, 'command')
  switch (command.do) {
    case 'addFinalizer':
      return setFinalizers(client, migration, [...(migration.metadata.finalizers ?? []), FINALIZER])
    case 'removeFinalizer':
      return setFinalizers(
        client,
        migration,
        (migration.metadata.finalizers ?? []).filter((f) => f !== FINALIZER),
      )
    case 'deleteMigration':
      return ignoring(isNotFound, () => client.delete(MIGRATIONS, namespace, name))
    case 'dropRecovery':
      return dropRecovery(deps, migration, command.why)
    case 'createPod':
      return ignoring(isAlreadyExists, () => client.create(PODS, command.pod))
    case 'markPod': {
      const { name: podName, resourceVersion } = command.pod.metadata
      const body = { metadata: { resourceVersion, ...command.marks } }
      return ignoring(
        (error) => isNotFound(error) || isConflict(error),
        () => client.patch(PODS, namespace, podName, { type: 'merge', body }),
      )
    }
    case 'deletePod':
      // The UID is the point: another pod may have taken the name since the snapshot.
      return ignoring(
        (error) => isNotFound(error) || isConflict(error),
        () =>
          client.delete(PODS, namespace, command.name, {
            gracePeriodSeconds: command.graceSeconds,
            preconditions: { uid: command.uid },
          }),
      )
  }
}

/** A list is replaced whole by a merge patch: the resourceVersion keeps another's finalizer from being lost. */
const setFinalizers = (client: KubeClient, { metadata }: Snapshot['migration'], finalizers: string[]) =>
  ignoring(
    (error) => isConflict(error) || isNotFound(error),
    () =>
      client.patch(MIGRATIONS, metadata.namespace, metadata.name, {
        type: 'merge',
        body: { metadata: { finalizers, resourceVersion: metadata.resourceVersion } },
      }),
  )

/** Taken away with the version that was judged: a word given since is another word. */
async function dropRecovery({ client, recorder }: ExecuteDeps, migration: Migration, why: string | undefined) {
  const { namespace, name, resourceVersion } = migration.metadata
  const body = { metadata: { resourceVersion, annotations: { [RECOVER_ANNOTATION]: null } } }
  await ignoring(
    (error) => isConflict(error) || isNotFound(error),
    async () => {
      await client.patch(MIGRATIONS, namespace, name, { type: 'merge', body })
      if (why !== undefined) recorder.event(migration, 'Warning', 'RecoverIgnored', why)
    },
  )
}

async function ignoring(harmless: (error: unknown) => boolean, effect: () => Promise<unknown>): Promise<void> {
  try {
    await effect()
  } catch (error) {
    if (!harmless(error)) throw error
  }
}

const describe = (command: Command) =>
  command.do === 'createPod'
    ? { do: command.do, role: command.role, pod: command.pod.metadata.name }
    : command.do === 'deletePod'
      ? { do: command.do, role: command.role, pod: command.name, uid: command.uid }
      : command.do === 'markPod'
        ? { do: command.do, why: command.why, pod: command.pod.metadata.name }
        : { do: command.do }
