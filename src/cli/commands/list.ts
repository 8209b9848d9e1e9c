/** `podferry list`: the Migrations of a namespace or of all. */
import { Command, Option } from 'commander'
import type { Migration } from '../../api/migration.ts'
import { MIGRATIONS } from '../../api/resources.ts'
import type { KubeClient } from '../../kube/client.ts'
import { type ConnectionFlags, openSession, withConnectionFlags } from '../connection-options.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { type Io, say } from '../io.ts'
import { migrationTable } from '../output/migration-table.ts'
import { formatObject, OUTPUTS, type Output, qualifiedName } from '../output/objects.ts'

interface ListFlags extends ConnectionFlags {
  allNamespaces?: boolean
  output?: Output
}

export function listCommand(run: (flags: ListFlags) => Promise<void>): Command {
  const command = new Command('list')
    .alias('ls')
    .summary('list Migrations')
    .description('Lists Migrations, oldest first.')
    .option('-A, --all-namespaces', 'of all namespaces')
    .addOption(new Option('-o, --output <format>', 'json, yaml, name or wide').choices(OUTPUTS))
  return withConnectionFlags(command).action((_own, all: Command) => run(all.optsWithGlobals()))
}

/** @throws PodferryError */
export async function list(flags: ListFlags, io: Io, open = openSession): Promise<ExitCode> {
  const { client, namespace, timeoutMs } = await open(flags)
  const { allNamespaces = false, output } = flags
  try {
    const items = await listAll(client, allNamespaces ? undefined : namespace, timeoutMs)
    if (output === 'json' || output === 'yaml') {
      say(io.stdout, await formatObject({ apiVersion: 'v1', kind: 'List', metadata: {}, items }, output))
    } else if (output === 'name') {
      say(
        io.stdout,
        items.map(({ metadata }) => qualifiedName(metadata.name)),
      )
    } else if (items.length === 0) {
      say(io.stderr, [allNamespaces ? 'No Migrations found' : `No Migrations found in ${namespace} namespace.`])
    } else {
      say(io.stdout, migrationTable(items, io.now(), { namespaces: allNamespaces, wide: output === 'wide' }))
    }
    return EXIT.done
  } finally {
    client.close()
  }
}

const PAGE = 500

async function listAll(client: KubeClient, namespace: string | undefined, timeoutMs: number | undefined) {
  const items: Migration[] = []
  for (let next: string | undefined; ; ) {
    const page = await client.list(MIGRATIONS, { namespace, timeoutMs, limit: PAGE, continue: next })
    items.push(...page.items)
    next = page.continue
    if (next === undefined) return items
  }
}
