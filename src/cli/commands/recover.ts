/** `podferry recover NAME --resume-source --yes`: a person's word that a lost destination node is off, so that the source may go on. */
import { Command } from 'commander'
import { isDestinationLost, isFinished, phaseOf } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { RECOVER_ANNOTATION, RESUME_SOURCE } from '../../api/names.ts'
import { MIGRATIONS } from '../../api/resources.ts'
import { PodferryError } from '../../errors.ts'
import { type ConnectionFlags, openSession, withConnectionFlags } from '../connection-options.ts'
import { EXIT, type ExitCode, UsageError } from '../exit-codes.ts'
import { type Io, say } from '../io.ts'
import { qualifiedName } from '../output/objects.ts'

export interface RecoverFlags extends ConnectionFlags {
  resumeSource: boolean
  yes: boolean
}

export function recoverCommand(run: (flags: RecoverFlags, name: string) => Promise<void>): Command {
  const command = new Command('recover')
    .summary('decide about a Migration whose destination node is lost')
    .description(
      'Decides about a Migration in phase DestinationLost, which waits for its destination node for ever. Bringing the node back is the safe way; this is for a node that is off for good.',
    )
    .argument('<name>', 'name of the Migration')
    .option('--resume-source', 'the source runs on, as it was at the commit', false)
    .option('--yes', 'the destination node is off: were it only cut off, two copies would run', false)
  return withConnectionFlags(command).action((name: string, _own, all: Command) => run(all.optsWithGlobals(), name))
}

/**
 * @throws UsageError unless the person has said what to do and that the node is off
 * @throws PodferryError `NotRecoverable` with the sentence that says why
 * @throws KubeError a conflict when the Migration changes in this moment: then it should be looked at again
 */
export async function recover(name: string, flags: RecoverFlags, io: Io, open = openSession): Promise<ExitCode> {
  if (!flags.resumeSource) throw new UsageError('say what to do: --resume-source is the only way')
  const { client, namespace, timeoutMs } = await open(flags)
  try {
    const migration = await client.get(MIGRATIONS, namespace, name, { timeoutMs })
    const refusal = refusalOf(migration)
    if (refusal !== undefined) throw new PodferryError({ reason: 'NotRecoverable', message: refusal })
    if (!flags.yes) throw new UsageError(warning(migration))
    // A node that is back changes the object: then the word is not given.
    const { resourceVersion } = migration.metadata
    const metadata = { resourceVersion, annotations: { [RECOVER_ANNOTATION]: RESUME_SOURCE } }
    await client.patch(MIGRATIONS, namespace, name, { type: 'merge', body: { metadata } }, { timeoutMs })
    say(io.stdout, [
      `${qualifiedName(name)} asked to resume the source`,
      `next: ${io.program} status -n ${namespace} ${name}`,
    ])
    return EXIT.done
  } finally {
    client.close()
  }
}

const warning = ({ spec, status }: Migration) =>
  `--resume-source lets pod ${spec.podName} run on at ${status?.source?.node}, as it was at the commit; what it did at the destination is lost. \
Node ${status?.destination?.node} must be off (power cut, disk gone): were it only cut off from the network, two copies would run. If it is off, say --yes`

/** @returns why there is nothing to decide, or undefined */
function refusalOf({ metadata, status }: Migration): string | undefined {
  const what = `${metadata.namespace}/${metadata.name}`
  if (isFinished(status)) return `${what} has ended already (${phaseOf(status)})`
  if (isDestinationLost(status)) return undefined
  return `${what} is not lost: its phase is ${phaseOf(status)}. Only DestinationLost asks for a decision; before the commit there is podferry cancel`
}
