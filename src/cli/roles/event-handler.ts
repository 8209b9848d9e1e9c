/** `podferry event-handler`: beside the registry of each node, from its notification to the bus. */
import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import { recordDelivery } from '../../controller/record-delivery.ts'
import type { EventPublisher } from '../../events/bus.ts'
import { createKafkaPublisher } from '../../events/kafka-bus.ts'
import { kafkaConfig } from '../../events/kafka-config.ts'
import { createKubernetesPublisher } from '../../events/kubernetes-bus.ts'
import { startWebhook } from '../../events/webhook.ts'
import { createClient } from '../../kube/client.ts'
import { inClusterConnection } from '../../kube/connection.ts'
import { busOption, createLog, required, terminated } from './common.ts'

const PORT = 5579

interface Flags {
  bus: string
  tokenFile: string
}

export const eventHandlerCommand = (): Command =>
  new Command('event-handler')
    .description("receive the registry's notifications and publish them to the event bus")
    .addOption(busOption())
    .requiredOption(
      '--token-file <file>',
      "file with the bearer token that the registry sends (written by 'registry-config')",
    )
    .action(run)

async function run({ bus, tokenFile }: Flags): Promise<void> {
  const node = required('NODE_NAME')
  const log = createLog('event-handler', { node })
  const token = (await readFile(tokenFile, 'utf8')).trim()
  const publisher =
    bus === 'kafka' ? await createKafkaPublisher(kafkaConfig(process.env), `podferry-${node}`) : await kubernetes()
  const webhook = await startWebhook({ publisher, node, token, port: PORT, log })
  log.info({ bus, port: webhook.port }, 'listening for the registry')
  await terminated()
  await webhook.close()
  await publisher.close()
}

async function kubernetes(): Promise<EventPublisher> {
  const client = createClient({ connection: await inClusterConnection(), role: 'event-handler' })
  return createKubernetesPublisher((event) => recordDelivery(client, event, 'RegistryEvent'))
}
