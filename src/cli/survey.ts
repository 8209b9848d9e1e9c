/** What preflight looks at of a cluster, read in the name of a person: what that person may not see is left open. */
import { isDeepStrictEqual } from 'node:util'
import { isFinished } from '../api/conditions.ts'
import { migrationCrd } from '../api/crd.ts'
import type { Migration, MigrationSpec } from '../api/migration.ts'
import { API_VERSION, GROUP, KIND, NAMESPACE, RUNTIME_CLASS } from '../api/names.ts'
import { factsOf } from '../api/node-facts.ts'
import type { Node, Pod } from '../api/pod.ts'
import { MIGRATIONS, NODES, PODS } from '../api/resources.ts'
import { probeWebhook } from '../controller/admission/probe.ts'
import type { ClusterFacts } from '../controller/checks/cluster-checks.ts'
import { claimsOf } from '../controller/claims.ts'
import { COMPONENT_LABEL, findOwner, nodesOf, rivalsOf } from '../controller/gather.ts'
import type { Snapshot } from '../controller/snapshot.ts'
import { isForbidden, isNotFound } from '../kube/error.ts'
import type { Session } from './connection-options.ts'

export interface Survey {
  /** Undefined: the person may not list nodes. */
  nodes: Node[] | undefined
  agents: ReadonlySet<string>
  registries: ReadonlySet<string>
  /** Undefined: told of already. */
  cluster: ClusterFacts | undefined
  migrations: readonly Migration[]
}

/** @param namespace whose Migrations matter; undefined: of all */
export async function surveyCluster(session: Session, namespace: string | undefined): Promise<Survey> {
  const { client, timeoutMs } = session
  const selector = { namespace: NAMESPACE, labelSelector: `${COMPONENT_LABEL} in (agent,registry)` }
  const [nodes, own, migrations, cluster] = await Promise.all([
    seen(client.list(NODES, { timeoutMs })),
    seen(client.list(PODS, { ...selector, timeoutMs })),
    seen(client.list(MIGRATIONS, { namespace, timeoutMs })),
    clusterFacts(session),
  ])
  const names = (nodes?.items ?? []).map(({ metadata }) => metadata.name)
  // Who may not look at podferry's own pods goes by what they have left at the nodes.
  const reporting = (nodes?.items ?? []).filter((node) => factsOf(node)).map(({ metadata }) => metadata.name)
  return {
    nodes: nodes?.items,
    agents: own ? nodesOf(own.items, 'agent') : new Set(reporting),
    registries: own ? nodesOf(own.items, 'registry') : new Set(names),
    cluster,
    migrations: migrations?.items ?? [],
  }
}

interface Deployment {
  status?: { readyReplicas?: number }
}
interface Group {
  versions: { version: string }[]
}
interface Definition {
  spec: { versions: { schema: unknown }[] }
}
interface Review {
  status: { allowed: boolean }
}

async function clusterFacts({ client, namespace, timeoutMs }: Session): Promise<ClusterFacts> {
  const get = async <T>(path: string): Promise<T | 'absent' | undefined> =>
    client.request({ method: 'GET', path, timeoutMs }).then(
      (body) => JSON.parse(body) as T,
      (error) => {
        if (isNotFound(error)) return 'absent'
        if (isForbidden(error)) return undefined
        throw error
      },
    )
  const [version, group, definition, deployment, runtimeClass, mayCreate] = await Promise.all([
    get<{ gitVersion: string }>('/version'),
    get<Group>(`/apis/${GROUP}`),
    get<Definition>(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${migrationCrd().metadata.name}`),
    get<Deployment>(`/apis/apps/v1/namespaces/${NAMESPACE}/deployments/podferry-controller`),
    get<object>(`/apis/node.k8s.io/v1/runtimeclasses/${RUNTIME_CLASS}`),
    allowed({ client, namespace, timeoutMs }, 'create'),
  ])
  const schema = typeof definition === 'object' ? definition.spec.versions[0]?.schema : undefined
  return {
    ...(typeof version === 'object' ? { version: version.gitVersion } : {}),
    ...(typeof group === 'object' ? { served: group.versions.map((one) => one.version) } : {}),
    ...(schema ? { current: isDeepStrictEqual(schema, migrationCrd().spec.versions[0]?.schema) } : {}),
    ...(deployment ? { controllers: deployment === 'absent' ? 0 : (deployment.status?.readyReplicas ?? 0) } : {}),
    ...(runtimeClass ? { runtimeClass: runtimeClass !== 'absent' } : {}),
    forbidden: mayCreate ? [] : [`create migrations.${GROUP} in namespace ${namespace}`],
  }
}

async function allowed({ client, namespace, timeoutMs }: Session, verb: string): Promise<boolean> {
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { namespace, verb, group: GROUP, resource: MIGRATIONS.plural } },
  }
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
  return (JSON.parse(await client.request({ method: 'POST', path, body, timeoutMs })) as Review).status.allowed
}

const seen = <T>(reading: Promise<T>): Promise<T | undefined> =>
  reading.catch((error) => {
    // Where podferry is not installed there are no Migrations.
    if (isForbidden(error) || isNotFound(error)) return undefined
    throw error
  })

export type Wish = Partial<MigrationSpec> & Pick<MigrationSpec, 'podName'>

/** @returns what the controller would gather for a Migration that asked for this now */
export async function snapshotFor(
  { client }: Session,
  survey: Survey,
  { namespace, pod, wish, now }: { namespace: string; pod: Pod | undefined; wish: Wish; now: Date },
): Promise<Snapshot> {
  const metadata = { name: '', namespace, uid: '', resourceVersion: '', creationTimestamp: now.toISOString() }
  const spec = { mode: 'Auto', connections: 'Auto', timeoutSeconds: 600, ...wish } as const
  const migration: Migration = { apiVersion: API_VERSION, kind: KIND, metadata, spec }
  const open = survey.migrations.filter((m) => m.metadata.namespace === namespace && !isFinished(m.status))
  return {
    migration,
    rivals: rivalsOf(migration, open),
    sourcePod: pod,
    destinationPod: undefined,
    pullPod: undefined,
    owner: await findOwner(client, migration, pod),
    webhook: await probeWebhook(client, migration, pod, 'person'),
    nodes: survey.nodes ?? [],
    agents: survey.agents,
    registries: survey.registries,
    claims: pod ? await claimsOf(client, pod) : {},
    ...(survey.cluster ? { cluster: survey.cluster } : {}),
  }
}
