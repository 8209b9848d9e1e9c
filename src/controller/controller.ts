/** The controller's loop: an informer says which Migration to look at, gather reads, plan decides, execute acts. */
import type { Logger } from 'pino'
import { phaseOf } from '../api/conditions.ts'
import type { Migration } from '../api/migration.ts'
import { MIGRATIONS } from '../api/resources.ts'
import type { KubeClient } from '../kube/client.ts'
import { KubeError } from '../kube/error.ts'
import type { EventRecorder } from '../kube/events.ts'
import { createInformer } from '../kube/informer.ts'
import { WorkQueue } from '../kube/queue.ts'
import type { Admission } from './admission/admission.ts'
import { execute } from './execute.ts'
import { gather } from './gather.ts'
import { plan } from './plan.ts'
import type { Snapshot } from './snapshot.ts'
import type { Plan } from './step.ts'
import { podRejected } from './steps/restore.ts'
import { podReference, transitions } from './transitions.ts'

interface ControllerOptions {
  client: KubeClient
  recorder: EventRecorder
  log: Logger
  /** Where podferry's own pods live. */
  systemNamespace: string
  mayAct(): boolean
  /** Keeps the webhook that replacements pass. */
  admission: Admission
  now?: () => Date
}

/** Different Migrations are independent; each waits for the API server most of the time. */
const CONCURRENCY = 8

/**
 * Works until the signal aborts.
 *
 * @returns when no reconcile runs any more
 */
export async function runController(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  const { client, log, recorder, systemNamespace, mayAct, admission, now = () => new Date() } = options
  const informer = createInformer({ client, resource: MIGRATIONS, log })

  const reconcile = async (key: string): Promise<number | undefined> => {
    const [namespace = '', name = ''] = key.split('/')
    const snapshot = await gather(
      { client, systemNamespace, migrationsIn: (ns) => informer.list().filter((m) => m.metadata.namespace === ns) },
      namespace,
      name,
    )
    if (!snapshot || !mayAct()) return undefined
    const decision = plan(snapshot, now())
    await act(snapshot, decision)
    return decision.requeueAfterMs
  }

  const act = async (snapshot: Snapshot, decision: Plan) => {
    const deps = { client, log, recorder, mayAct }
    try {
      await execute(deps, snapshot, decision)
    } catch (error) {
      const makesDestination = decision.commands?.some(
        (command) => command.do === 'createPod' && command.role === 'destination',
      )
      if (!makesDestination || !(error instanceof KubeError) || error.retry !== 'afterChange') throw error
      await execute(deps, snapshot, podRejected(snapshot, now(), error.message))
    }
  }

  const queue = new WorkQueue({
    process: reconcile,
    onError: (key, err, failures, retryMs) => log.warn({ migration: key, err, failures, retryMs }, 'reconcile failed'),
    concurrency: CONCURRENCY,
    backoff: { baseMs: 100, maxMs: 5_000 },
  })

  const wake = (migration: Migration) => queue.add(`${migration.metadata.namespace}/${migration.metadata.name}`)
  const tell = (before: Migration | undefined, after: Migration) => {
    for (const { type, reason, message } of transitions(before, after)) {
      log.info(
        {
          migration: `${after.metadata.namespace}/${after.metadata.name}`,
          pod: after.spec.podName,
          reason,
          phase: phaseOf(after.status),
        },
        message,
      )
      recorder.event(after, type, reason, message)
      recorder.event(podReference(after), type, reason, message)
    }
  }

  informer.addHandler({
    add(migration) {
      wake(migration)
      admission.wake()
    },
    update(after, before) {
      tell(before, after)
      wake(after)
      admission.wake()
    },
    delete: () => admission.wake(),
  })
  informer.start()
  const admitting = admission.run(() => informer.list(), signal)
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  await Promise.all([informer.close(), queue.stop(), admitting])
}
