/** `podferry cancel NAME`: asks the controller to roll a Migration back; it decides, as the commit may come first. */
import { Command } from 'commander'
import { condition, isFinished, truth } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { CANCEL_ANNOTATION } from '../../api/names.ts'
import { MIGRATIONS } from '../../api/resources.ts'
import { PodferryError } from '../../errors.ts'
import { type ConnectionFlags, openSession, withConnectionFlags } from '../connection-options.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { type Io, say } from '../io.ts'
import { qualifiedName } from '../output/objects.ts'

export function cancelCommand(run: (flags: ConnectionFlags, name: string) => Promise<void>): Command {
  const command = new Command('cancel')
    .summary('roll a Migration back; possible until its commit')
    .description('Asks for a rollback: the pod runs on where it is. Possible until the commit.')
    .argument('<name>', 'name of the Migration')
  return withConnectionFlags(command).action((name: string, _own, all: Command) => run(all.optsWithGlobals(), name))
}

/** @throws PodferryError `NotCancellable` with the sentence that says why */
export async function cancel(name: string, flags: ConnectionFlags, io: Io, open = openSession): Promise<ExitCode> {
  const { client, namespace, timeoutMs } = await open(flags)
  try {
    for (let attempt = 1; ; attempt++) {
      const migration = await client.get(MIGRATIONS, namespace, name, { timeoutMs })
      const refusal = refusalOf(migration)
      if (refusal !== undefined) throw new PodferryError({ reason: 'NotCancellable', message: refusal })
      const { resourceVersion } = migration.metadata
      const metadata = { resourceVersion, annotations: { [CANCEL_ANNOTATION]: process.env.USER || 'the CLI' } }
      try {
        await client.patch(MIGRATIONS, namespace, name, { type: 'merge', body: { metadata } }, { timeoutMs })
        break
      } catch (error) {
        // Somebody wrote in between, perhaps the commit: look again.
        const { isConflict } = await import('../../kube/error.ts')
        if (!isConflict(error) || attempt === MAX_ATTEMPTS) throw error
      }
    }
    say(io.stdout, [`${qualifiedName(name)} asked to roll back`, `next: ${io.program} status -n ${namespace} ${name}`])
    return EXIT.done
  } finally {
    client.close()
  }
}

const MAX_ATTEMPTS = 5

/** @returns why this Migration can't be cancelled any more, or undefined when it can */
function refusalOf({ metadata, status }: Migration): string | undefined {
  const what = `${metadata.namespace}/${metadata.name}`
  if (isFinished(status)) {
    const end =
      truth(status, 'Succeeded') === 'True'
        ? 'the pod has moved'
        : `it failed (${condition(status, 'Succeeded')?.reason})`
    return `${what} has ended already: ${end}`
  }
  if (truth(status, 'Committed') === 'True') {
    return `${what} is committed: only ${status?.destination?.node ?? 'the destination'} may run the pod now. Once it has arrived, move it back with a new migration`
  }
  return truth(status, 'Committed') === 'False' ? `${what} is being rolled back already` : undefined
}
