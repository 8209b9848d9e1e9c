/** `podferry status NAME`: one Migration in sections. */
import { Command, Option } from 'commander'
import { MIGRATIONS } from '../../api/resources.ts'
import { type ConnectionFlags, openSession, withConnectionFlags } from '../connection-options.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { type Io, say } from '../io.ts'
import { describeMigration } from '../output/description.ts'
import { migrationTable } from '../output/migration-table.ts'
import { formatObject, OUTPUTS, type Output, qualifiedName } from '../output/objects.ts'

interface StatusFlags extends ConnectionFlags {
  output?: Output
}

export function statusCommand(run: (flags: StatusFlags, name: string) => Promise<void>): Command {
  const command = new Command('status')
    .summary('show one Migration: its steps, its downtime, why it failed')
    .description('Shows one Migration: where from and to, each step, the downtime and, if it failed, why.')
    .argument('<name>', 'name of the Migration')
    .addOption(new Option('-o, --output <format>', 'json, yaml, name or wide').choices(OUTPUTS))
  return withConnectionFlags(command).action((name: string, _own, all: Command) => run(all.optsWithGlobals(), name))
}

/** @throws PodferryError */
export async function status(name: string, flags: StatusFlags, io: Io, open = openSession): Promise<ExitCode> {
  const { client, namespace, timeoutMs } = await open(flags)
  try {
    const migration = await client.get(MIGRATIONS, namespace, name, { timeoutMs })
    const { output } = flags
    if (output === 'json' || output === 'yaml') say(io.stdout, await formatObject(migration, output))
    else if (output === 'name') say(io.stdout, [qualifiedName(migration.metadata.name)])
    else if (output === 'wide') say(io.stdout, migrationTable([migration], io.now(), { namespaces: false, wide: true }))
    else say(io.stdout, describeMigration(migration, io.now()))
    return EXIT.done
  } finally {
    client.close()
  }
}
