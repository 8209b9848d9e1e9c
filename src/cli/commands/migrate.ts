/** `podferry migrate pod/NAME`: makes a Migration and, with --wait, shows it to its end. */
import { Command, Option } from 'commander'
import type { Migration } from '../../api/migration.ts'
import { MIGRATIONS } from '../../api/resources.ts'
import type { Unsaved } from '../../kube/resource.ts'
import { type ConnectionFlags, openSession, type Session, withConnectionFlags } from '../connection-options.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { type Io, say } from '../io.ts'
import { formatObject, OUTPUTS, type Output, qualifiedName } from '../output/objects.ts'
import type { NewMigration } from './new-migration.ts'

interface MigrateFlags extends ConnectionFlags {
  to?: string
  mode?: string
  connections?: string
  timeout?: string
  name?: string
  wait: boolean
  dryRun?: 'preflight' | 'client' | 'server'
  output?: Output
}

/** Restoring and clean-up come after the commit, which spec.timeoutSeconds limits. */
const AFTER_COMMIT_MS = 300_000

export function migrateCommand(run: (flags: MigrateFlags, target: string) => Promise<void>): Command {
  const command = new Command('migrate')
    .summary('move a running pod to another node')
    .description(
      'Makes a Migration, which moves a running pod to another node with its memory and files. Leave out --to and the scheduler picks the node.',
    )
    .argument('<pod>', 'pod/NAME')
    .option('--to <node>', 'node to move to (default: the scheduler picks one)')
    .addOption(new Option('--mode <mode>', 'how memory travels').choices(['Auto', 'Live', 'Image']))
    .addOption(new Option('--connections <what>', 'what becomes of TCP connections').choices(['Auto', 'Keep', 'Close']))
    .option('--timeout <duration>', 'roll back unless committed within this time (default: 10m)')
    .option('--name <name>', "name of the Migration (default: the pod's with a random ending)")
    .option('--wait', 'show progress and wait for the end', false)
    .option('--no-wait', 'only make the Migration (default)')
    .addOption(
      new Option(
        '--dry-run [how]',
        'make nothing; print what stands in the way (preflight), or the object as it would be made (client, server)',
      ).choices(['preflight', 'client', 'server']),
    )
    .addOption(
      new Option('-o, --output <format>', 'json (with --wait: one object a transition), yaml, name or wide').choices(
        OUTPUTS,
      ),
    )
  return withConnectionFlags(command).action((target: string, _own, all: Command) => run(all.optsWithGlobals(), target))
}

/** @throws UsageError, PodferryError */
export async function migrate(target: string, flags: MigrateFlags, io: Io, open = openSession): Promise<ExitCode> {
  const { newMigration } = await import('./new-migration.ts')
  // What is wrong in the flags is said before anything is asked of the cluster.
  newMigration(target, 'default', flags)
  const session = await open(flags)
  try {
    const object = newMigration(target, session.namespace, flags)
    if (flags.dryRun === 'preflight') {
      const { explain } = await import('./doctor.ts')
      return await explain(session, object.spec, flags, io)
    }
    if (flags.dryRun === 'client') return await tellCreated(object, flags, io)
    const created = await create(object, flags.dryRun === 'server', session)
    if (flags.dryRun === 'server' || !flags.wait) return await tellCreated(created, flags, io)
    if (flags.output === undefined || flags.output === 'wide')
      say(io.stdout, [`${qualifiedName(created.metadata.name)} created`])
    if (flags.output === 'name') say(io.stdout, [qualifiedName(created.metadata.name)])
    const { waitForEnd } = await import('../waiting.ts')
    const limitMs = created.spec.timeoutSeconds * 1000 + AFTER_COMMIT_MS
    return await waitForEnd({ session, migration: created, io, output: flags.output, limitMs })
  } finally {
    session.client.close()
  }
}

async function create(object: NewMigration, dryRun: boolean, { client, timeoutMs }: Session): Promise<Migration> {
  if (!dryRun) return await client.create(MIGRATIONS, object as Unsaved<Migration>, { timeoutMs })
  const { collectionPath } = await import('../../kube/resource.ts')
  const path = collectionPath(MIGRATIONS, object.metadata.namespace)
  const query = { dryRun: 'All', fieldManager: 'podferry-cli' }
  return JSON.parse(await client.request({ method: 'POST', path, query, body: object, timeoutMs }))
}

async function tellCreated(object: NewMigration | Migration, flags: MigrateFlags, io: Io): Promise<ExitCode> {
  const { name = `${'generateName' in object.metadata ? object.metadata.generateName : ''}*`, namespace } =
    object.metadata
  const { output, dryRun } = flags
  if (output === 'json' || output === 'yaml') say(io.stdout, await formatObject(object, output))
  else if (output === 'name') say(io.stdout, [qualifiedName(name)])
  else if (dryRun !== undefined) say(io.stdout, [`${qualifiedName(name)} created (${dryRun} dry run)`])
  else {
    const next = `next: ${io.program} status -n ${namespace} ${name}`
    say(io.stdout, [`${qualifiedName(name)} created`, next])
  }
  return EXIT.done
}
