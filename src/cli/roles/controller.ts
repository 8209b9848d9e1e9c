/** `podferry controller`: the leader plans all Migrations, signs agents' certificates and consumes the bus. */
import { randomUUID } from 'node:crypto'
import { Command } from 'commander'
import type { Logger } from 'pino'
import { createAdmission } from '../../controller/admission/admission.ts'
import { createCertificateSigner } from '../../controller/certificates/signer.ts'
import { runController } from '../../controller/controller.ts'
import { recordDelivery } from '../../controller/record-delivery.ts'
import { createKafkaConsumer } from '../../events/kafka-bus.ts'
import { kafkaConfig } from '../../events/kafka-config.ts'
import { createClient, type KubeClient } from '../../kube/client.ts'
import { inClusterConnection } from '../../kube/connection.ts'
import { startElection } from '../../kube/election.ts'
import { createEventRecorder } from '../../kube/events.ts'
import { busOption, createLog, required, terminated } from './common.ts'

const LEASE = 'podferry-controller'

export const controllerCommand = (): Command =>
  new Command('controller')
    .description('plan and drive all Migrations; one leader, elected by Lease')
    .addOption(busOption())
    .action(run)

async function run({ bus }: { bus: string }): Promise<void> {
  const namespace = required('POD_NAMESPACE')
  const pod = required('POD_NAME')
  const log = createLog('controller', { pod })
  const client = createClient({ connection: await inClusterConnection(), role: 'controller' })
  const work = Promise.withResolvers<void>()

  const election = startElection({
    client,
    namespace,
    name: LEASE,
    identity: `${pod}_${randomUUID().slice(0, 8)}`,
    isDead: (holder) => holder.startsWith(`${pod}_`),
    log,
    onAcquired: (signal) => {
      lead({ client, namespace, pod, bus, log, mayAct: () => election.isLeader() }, signal).then(
        work.resolve,
        work.reject,
      )
    },
    // Whatever is under way belongs to the next leader now: the only safe thing is to stop at once.
    onLost: () => process.exit(1),
  })
  await Promise.race([terminated(), work.promise])
  await election.stop()
  process.exit(0)
}

interface Leadership {
  client: KubeClient
  namespace: string
  pod: string
  bus: string
  log: Logger
  mayAct(): boolean
}

async function lead({ client, namespace, pod, bus, log, mayAct }: Leadership, signal: AbortSignal): Promise<void> {
  const recorder = createEventRecorder({ client, component: 'podferry-controller', instance: pod, log })
  const admission = createAdmission({ client, log, mayAct })
  const parts = [
    runController({ client, recorder, log, systemNamespace: namespace, mayAct, admission }, signal),
    createCertificateSigner({ client, log, mayAct }).run(signal),
  ]
  if (bus === 'kafka') {
    const consumer = createKafkaConsumer({ config: kafkaConfig(process.env), clientId: pod, log })
    parts.push(consumer.consume((event) => recordDelivery(client, event, 'KafkaRecord'), signal))
  }
  await Promise.all(parts)
}
