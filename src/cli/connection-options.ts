/** kubectl's own flags, and the client they lead to. */
import { type Command, Option } from 'commander'
import type { KubeClient } from '../kube/client.ts'
import { parseDuration } from './duration-option.ts'

export interface ConnectionFlags {
  namespace?: string
  context?: string
  kubeconfig?: string
  cluster?: string
  user?: string
  as?: string
  requestTimeout?: string
}

/** What a command works with. */
export interface Session {
  client: KubeClient
  /** --namespace, else that of the kubeconfig's context. */
  namespace: string
  /** For the options of each call; undefined leaves the client's default. */
  timeoutMs: number | undefined
}

const FLAGS: readonly [flags: string, description: string][] = [
  ['-n, --namespace <name>', "namespace (default: the kubeconfig context's)"],
  ['--context <name>', 'context of the kubeconfig to use'],
  ['--kubeconfig <file>', 'kubeconfig to use (default: $KUBECONFIG, then ~/.kube/config)'],
  ['--cluster <name>', 'cluster of the kubeconfig to use'],
  ['--user <name>', 'user of the kubeconfig to use'],
  ['--as <name>', 'user to impersonate'],
  ['--request-timeout <duration>', 'time after which a single request is given up (default: 30s)'],
]

/**
 * Adds kubectl's flags to a command.
 *
 * @param hidden they are taken but not shown: on the program itself, for those who write them before the command, as in `-n web list`
 */
export function withConnectionFlags(command: Command, hidden = false): Command {
  for (const [flags, description] of FLAGS) {
    command.addOption(new Option(flags, description).helpGroup('Connection:').hideHelp(hidden))
  }
  return command
}

/**
 * @throws UsageError for a duration that is none
 * @throws PodferryError `InvalidKubeconfig`
 */
export async function openSession(flags: ConnectionFlags): Promise<Session> {
  const timeoutMs =
    flags.requestTimeout === undefined ? undefined : parseDuration(flags.requestTimeout, '--request-timeout')
  const [{ kubeconfigConnection }, { createClient }] = await Promise.all([
    import('../kube/kubeconfig.ts'),
    import('../kube/client.ts'),
  ])
  const { kubeconfig, context, cluster, user, as } = flags
  const connection = await kubeconfigConnection({
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
    ...(cluster === undefined ? {} : { cluster }),
    ...(user === undefined ? {} : { user }),
    ...(as === undefined ? {} : { impersonate: as }),
  })
  return {
    client: createClient({ connection, role: 'cli' }),
    namespace: flags.namespace ?? connection.namespace,
    timeoutMs: timeoutMs === 0 ? undefined : timeoutMs,
  }
}
