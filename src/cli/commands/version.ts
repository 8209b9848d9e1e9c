/** `podferry version`: of this program and, where it can be asked, of the controller in the cluster. */
import { Command, Option } from 'commander'
import packageJson from '../../../package.json' with { type: 'json' }
import { NAMESPACE } from '../../api/names.ts'
import type { KubeObject, Resource } from '../../kube/resource.ts'
import { type ConnectionFlags, openSession, withConnectionFlags } from '../connection-options.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { type Io, say } from '../io.ts'

interface VersionFlags extends ConnectionFlags {
  client?: boolean
  output?: 'json' | 'yaml'
}

interface Deployment extends KubeObject {
  spec: { template: { spec: { containers: { name: string; image: string }[] } } }
}

const DEPLOYMENTS: Resource<Deployment> = { group: 'apps', version: 'v1', plural: 'deployments', namespaced: true }
const CONTROLLER = 'podferry-controller'
/** Nobody waits half a minute for a version. */
const PATIENCE_MS = 5_000

export function versionCommand(run: (flags: VersionFlags) => Promise<void>): Command {
  const command = new Command('version')
    .summary('show the versions of client and controller')
    .description('Shows the version of this program and the image of the controller, if the cluster can be reached.')
    .option('--client', 'of this program only')
    .addOption(new Option('-o, --output <format>', 'json or yaml').choices(['json', 'yaml']))
  return withConnectionFlags(command).action((_own, all: Command) => run(all.optsWithGlobals()))
}

/** @throws UsageError; a cluster that does not answer is told, not thrown */
export async function version(flags: VersionFlags, io: Io, open = openSession): Promise<ExitCode> {
  const client = { version: packageJson.version, node: process.versions.node }
  const controller = flags.client ? undefined : await controllerOf(flags, open)
  if (flags.output !== undefined) {
    const { formatObject } = await import('../output/objects.ts')
    say(io.stdout, await formatObject({ client, ...(controller ? { controller } : {}) }, flags.output))
    return EXIT.done
  }
  say(io.stdout, [`Client:      podferry ${client.version}, Node ${client.node}`])
  if (controller && 'image' in controller) say(io.stdout, [`Controller:  ${controller.image}`])
  if (controller && 'error' in controller) say(io.stderr, [`Controller:  unknown: ${controller.error}`])
  return EXIT.done
}

async function controllerOf(
  flags: VersionFlags,
  open: typeof openSession,
): Promise<{ image: string } | { error: string }> {
  const { PodferryError } = await import('../../errors.ts')
  try {
    const { client, timeoutMs = PATIENCE_MS } = await open(flags)
    try {
      const deployment = await client.get(DEPLOYMENTS, NAMESPACE, CONTROLLER, { timeoutMs })
      return { image: deployment.spec.template.spec.containers[0]?.image ?? 'no container' }
    } finally {
      client.close()
    }
  } catch (error) {
    if (error instanceof PodferryError) return { error: error.message }
    throw error
  }
}
