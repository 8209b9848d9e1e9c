/** `podferry agent`: everything that touches a node, as source and as destination. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { type AgentSettings, runAgent } from '../../agent/main.ts'
import { parseBytes } from '../../api/quantity.ts'
import { createClient } from '../../kube/client.ts'
import { inClusterConnection } from '../../kube/connection.ts'
import { createLog, required, terminated } from './common.ts'

/** The memory of a gibibyte takes a quarter of an hour then. */
const SLOWEST = 2 ** 20
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

interface Flags {
  hostRoot: string
  kubeletPort: string
  kubeletRoot: string
  kubeletCa: string
  kubeletClientCerts: string
  kubeletInsecureTls: boolean
  runtimeSocket: string
  runtimeRoot: string
  pageRate?: number
}

/** @throws InvalidArgumentError commander's own, which it shows with the option's name */
function rate(text: string): number {
  const bytes = parseBytes(text)
  if (bytes !== undefined && bytes >= SLOWEST) return bytes
  throw new InvalidArgumentError('It wants bytes a second as a quantity of Kubernetes, at least 1Mi: 100Mi, 1G.')
}

export const agentCommand = (): Command =>
  new Command('agent')
    .description('serve one node: dump, fence, deliver, receive and restore')
    .option('--host-root <folder>', "where the node's root is mounted", '/host')
    .option('--kubelet-port <port>', 'port of the kubelet', '10250')
    .option('--kubelet-root <folder>', "the kubelet's --root-dir on the node", '/var/lib/kubelet')
    .option(
      '--kubelet-ca <file>',
      "CA of the kubelet's serving certificate; where the file is missing, the cluster's own CA",
      '/etc/podferry/kubelet-ca/ca.crt',
    )
    .option(
      '--kubelet-client-certs <folder>',
      "client.crt and client.key for the kubelet; where they are missing, the agent's token",
      '/etc/podferry/kubelet-client-certs',
    )
    .addOption(
      new Option('--kubelet-insecure-tls', "do not verify the kubelet's certificate")
        .default(false)
        .env('PODFERRY_KUBELET_INSECURE_TLS'),
    )
    .option('--runtime-socket <file>', "the container runtime's socket on the node", '/run/containerd/containerd.sock')
    .option('--runtime-root <folder>', "the container runtime's storage on the node", '/var/lib/containerd')
    .addOption(
      new Option(
        '--page-rate <quantity>',
        'bytes a second that the memory of one container may take on its way to another node, such as 100Mi (default: no limit)',
      )
        .argParser(rate)
        .env('PODFERRY_PAGE_RATE'),
    )
    .action(run)

async function run(flags: Flags): Promise<void> {
  const nodeName = required('NODE_NAME')
  const log = createLog('agent', { node: nodeName })
  const client = createClient({ connection: await inClusterConnection(), role: 'agent' })
  const settings: AgentSettings = {
    nodeName,
    nodeAddress: required('NODE_IP'),
    podUID: required('POD_UID'),
    hostRoot: flags.hostRoot,
    kubelet: {
      port: Number(flags.kubeletPort),
      tokenFile: join(SERVICE_ACCOUNT, 'token'),
      clientCertificates: flags.kubeletClientCerts,
      caFile: existsSync(flags.kubeletCa) ? flags.kubeletCa : join(SERVICE_ACCOUNT, 'ca.crt'),
      insecureTls: flags.kubeletInsecureTls,
    },
    kubeletRoot: flags.kubeletRoot,
    runtimeSocket: flags.runtimeSocket,
    runtimeRoot: flags.runtimeRoot,
    ...(flags.pageRate === undefined ? {} : { pageBytesPerSecond: flags.pageRate }),
  }
  const stop = new AbortController()
  void terminated().then(() => stop.abort())
  await runAgent(settings, { client, log }, stop.signal)
  process.exit(0)
}
