/** `podferry doctor`: what each node can do, which pods can move, and one pod in full. Changes nothing. */
import { Command, Option } from 'commander'
import type { Pod } from '../../api/pod.ts'
import { PODS } from '../../api/resources.ts'
import { isNotFound } from '../../kube/error.ts'
import { type ConnectionFlags, openSession, type Session, withConnectionFlags } from '../connection-options.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { type Io, say } from '../io.ts'
import type { Survey, Wish } from '../survey.ts'
import { podNameOf } from './new-migration.ts'

interface DoctorFlags extends ConnectionFlags {
  to?: string
  allNamespaces?: boolean
  output?: 'json'
}

export function doctorCommand(run: (flags: DoctorFlags, target: string | undefined) => Promise<void>): Command {
  const command = new Command('doctor')
    .summary('say which pods can move, and why not')
    .description(
      'Runs the checks that every Migration has to pass and changes nothing: of the cluster, its nodes and the pods of the namespace, or of one pod in full.',
    )
    .argument('[pod]', 'pod/NAME: explain this pod, each finding with its remedy')
    .option('--to <node>', 'node to move to (default: whichever suits best)')
    .option('-A, --all-namespaces', 'the pods of all namespaces')
    .addOption(new Option('-o, --output <format>', 'json').choices(['json']))
  return withConnectionFlags(command).action((target: string | undefined, _own, all: Command) =>
    run(all.optsWithGlobals(), target),
  )
}

/** @throws UsageError, PodferryError */
export async function doctor(
  target: string | undefined,
  flags: DoctorFlags,
  io: Io,
  open = openSession,
): Promise<ExitCode> {
  const wish = target === undefined ? undefined : { podName: podNameOf(target) }
  const session = await open(flags)
  try {
    if (wish) return await explain(session, { ...wish, ...(flags.to ? { destinationNode: flags.to } : {}) }, flags, io)
    return await overview(session, flags, io)
  } finally {
    session.client.close()
  }
}

/**
 * Tells of one pod all that preflight finds, also for `podferry migrate --dry-run`.
 *
 * @returns EXIT.blocked when something is in the way
 */
export async function explain(
  session: Session,
  wish: Wish,
  { output }: { output?: string | undefined },
  io: Io,
): Promise<ExitCode> {
  const { namespace } = session
  const { snapshotFor, surveyCluster } = await import('../survey.ts')
  const { diagnosePod, isBlocked } = await import('../diagnosis.ts')
  const [survey, pod] = await Promise.all([surveyCluster(session, namespace), podNamed(session, wish.podName)])
  const snapshot = await snapshotFor(session, survey, { namespace, pod, wish, now: io.now() })
  const diagnosis = diagnosePod(snapshot, wish.destinationNode)
  if (output === 'json') say(io.stdout, [JSON.stringify(diagnosis, null, 2)])
  else {
    const { explainPod } = await import('../output/findings.ts')
    say(io.stdout, explainPod(diagnosis, io.stdout))
    tellUnseen(survey, io)
  }
  return isBlocked(diagnosis) ? EXIT.blocked : EXIT.done
}

async function overview(session: Session, { to, allNamespaces = false, output }: DoctorFlags, io: Io) {
  const namespace = allNamespaces ? undefined : session.namespace
  const { snapshotFor, surveyCluster } = await import('../survey.ts')
  const { diagnoseCluster, diagnoseNode, diagnosePod, isBlocked } = await import('../diagnosis.ts')
  const { client, timeoutMs } = session
  const [survey, all] = await Promise.all([
    surveyCluster(session, namespace),
    client.list(PODS, { namespace, timeoutMs }),
  ])
  const snapshot = (pod: Pod | undefined, seen: Survey) =>
    snapshotFor(session, seen, {
      namespace: pod?.metadata.namespace ?? session.namespace,
      pod,
      wish: { podName: pod?.metadata.name ?? '' },
      now: io.now(),
    })
  const whole = await snapshot(undefined, survey)
  const cluster = diagnoseCluster(whole)
  const nodes = (survey.nodes ?? []).map((node) => diagnoseNode(node, survey, whole))
  // What is wrong with the cluster is told once, not of every pod.
  const pods = await Promise.all(
    all.items
      .filter(isAlive)
      .map(async (pod) => diagnosePod(await snapshot(pod, { ...survey, cluster: undefined }), to)),
  )
  if (output === 'json') {
    say(io.stdout, [JSON.stringify({ cluster: { ...survey.cluster, findings: cluster }, nodes, pods }, null, 2)])
  } else {
    const { findingLines, nodeTable, podTable } = await import('../output/findings.ts')
    const version = survey.cluster?.version ?? 'of unknown version'
    say(io.stdout, [
      `Kubernetes ${version}${cluster.length === 0 ? ', podferry is installed and its controller ready' : ''}`,
      ...findingLines(cluster, io.stdout),
      ...(survey.nodes ? ['', ...nodeTable(nodes, io.stdout)] : []),
      '',
      ...(pods.length > 0
        ? podTable(pods, allNamespaces, io.stdout)
        : [`No pods in ${namespace === undefined ? 'the cluster' : `namespace ${namespace}`}.`]),
      ...(pods.some(isBlocked) ? ['', `each in full: ${io.program} doctor pod/NAME`] : []),
    ])
    tellUnseen(survey, io)
  }
  return isBlocked({ findings: cluster }) ? EXIT.blocked : EXIT.done
}

const isAlive = ({ status }: Pod) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed'

const tellUnseen = ({ nodes }: Survey, io: Io): void => {
  if (nodes === undefined) say(io.stderr, ['you may not list nodes: only the pods themselves are judged here'])
}

async function podNamed({ client, namespace, timeoutMs }: Session, name: string): Promise<Pod | undefined> {
  try {
    return await client.get(PODS, namespace, name, { timeoutMs })
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}
