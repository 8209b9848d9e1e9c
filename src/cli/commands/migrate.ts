/** `podferry migrate pod/NAME`: makes a Migration and, with --wait, shows it to its end; of an owner or a selector one a pod. */
import { Command, Option } from 'commander'
import type { Migration } from '../../api/migration.ts'
import { type ConnectionFlags, openSession, type Session, withConnectionFlags } from '../connection-options.ts'
import { EXIT, type ExitCode, UsageError } from '../exit-codes.ts'
import { type Io, say } from '../io.ts'
import { formatObject, OUTPUTS, type Output, qualifiedName } from '../output/objects.ts'
import { type PodSet, type PodSetFlags, podSetOf, podsIn } from '../pod-sets.ts'
import { AFTER_COMMIT_MS, create } from './create.ts'
import type { NewMigration } from './new-migration.ts'

interface MigrateFlags extends ConnectionFlags, PodSetFlags {
  mode?: string
  connections?: string
  timeout?: string
  name?: string
  /** By default several pods are waited for, and one is not. */
  wait?: boolean
  parallel?: string
  dryRun?: 'preflight' | 'client' | 'server'
  output?: Output
}

/** As many as two nodes can feed without a move taking much longer than alone. */
const PARALLEL = 2

export function migrateCommand(run: (flags: MigrateFlags, target: string | undefined) => Promise<void>): Command {
  const command = new Command('migrate')
    .summary('move a running pod to another node')
    .description(
      'Makes a Migration, which moves a running pod to another node with its memory and files. Leave out --to and the scheduler picks the node. Of deployment/NAME, statefulset/NAME, job/NAME or the pods of a selector it makes one a pod, so many at a time, and waits for all of them.',
    )
    .argument('[pod]', 'pod/NAME, deployment/NAME, replicaset/NAME, statefulset/NAME or job/NAME')
    .option('-l, --selector <labels>', 'the pods with these labels, as kubectl takes them')
    .option('--to <node>', 'node to move to (default: the scheduler picks one)')
    .option('--away-from <node>', 'of several pods those on this node; the scheduler picks where they go')
    .option('--parallel <number>', `of several pods so many at a time (default: ${PARALLEL})`)
    .addOption(new Option('--mode <mode>', 'how memory travels').choices(['Auto', 'Live', 'Image']))
    .addOption(new Option('--connections <what>', 'what becomes of TCP connections').choices(['Auto', 'Keep', 'Close']))
    .option('--timeout <duration>', 'roll back unless committed within this time (default: 10m)')
    .option('--name <name>', "name of the Migration (default: the pod's with a random ending)")
    .option('--wait', 'show progress and wait for the end (default for several pods)')
    .option('--no-wait', 'only make the Migration (default for one pod); several pods then all move at once')
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
  return withConnectionFlags(command).action((target: string | undefined, _own, all: Command) =>
    run(all.optsWithGlobals(), target),
  )
}

/** @throws UsageError, PodferryError */
export async function migrate(
  target: string | undefined,
  flags: MigrateFlags,
  io: Io,
  open = openSession,
): Promise<ExitCode> {
  const { newMigration } = await import('./new-migration.ts')
  // What is wrong in the flags is said before anything is asked of the cluster.
  const set = podSetOf(target, flags)
  newMigration(target === undefined || set ? 'any' : target, 'default', flags)
  const parallel = parallelOf(flags, set)
  const session = await open(flags)
  try {
    if (!set) return await migrateOne(newMigration(target ?? '', session.namespace, flags), flags, session, io)
    const pods = await podsIn(set, flags, session)
    if (pods.length === 0) {
      // What a script asked for is so already.
      say(io.stderr, [`nothing to move: ${nonesuch(target, flags, session)}`])
      return EXIT.done
    }
    const objects = pods.map(({ metadata }) => newMigration(metadata.name, session.namespace, flags))
    if (flags.wait !== false && flags.dryRun === undefined) {
      const { moveAll } = await import('./migrate-many.ts')
      return await moveAll(objects, { session, io, output: flags.output, parallel })
    }
    let worst: ExitCode = EXIT.done
    for (const object of objects) worst = (await migrateOne(object, { ...flags, wait: false }, session, io)) || worst
    return worst
  } finally {
    session.client.close()
  }
}

async function migrateOne(object: NewMigration, flags: MigrateFlags, session: Session, io: Io): Promise<ExitCode> {
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
}

function parallelOf({ parallel, name, wait }: MigrateFlags, set: PodSet | undefined): number {
  if (set && name !== undefined)
    throw new UsageError('--name names one Migration, and several pods have one each: leave it out')
  if (parallel === undefined) return PARALLEL
  if (!set) throw new UsageError('--parallel is for several pods: give deployment/NAME or --selector LABELS')
  if (wait === false) throw new UsageError('--parallel and --no-wait do not go together: who counts has to wait')
  if (/^[1-9]\d{0,2}$/.test(parallel)) return Number(parallel)
  throw new UsageError(`--parallel ${JSON.stringify(parallel)}: give a number from 1 to 999`)
}

function nonesuch(
  target: string | undefined,
  { selector, awayFrom, to }: MigrateFlags,
  { namespace }: Session,
): string {
  const where = awayFrom === undefined ? (to === undefined ? '' : ` that is not on ${to}`) : ` on ${awayFrom}`
  return `no running pod of ${target ?? `selector ${selector}`} in namespace ${namespace}${where}`
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
