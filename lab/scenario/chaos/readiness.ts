/** Whether podferry is whole again after a blow: as `ready` of deploy.ts, but by a few requests, as it is asked before each run. */
import type { KubeClient } from '../../../src/kube/client.ts'
import type { KubeObject, Resource } from '../../../src/kube/resource.ts'
import { node } from '../../cluster.ts'
import { NODES } from '../../places.ts'
import { HEALTH, NAMESPACE } from '../deploy.ts'
import { eventually } from '../eventually.ts'

type Workload = KubeObject & {
  status?: { readyReplicas?: number; replicas?: number; numberReady?: number; desiredNumberScheduled?: number }
}
type Node = KubeObject & { status?: { conditions?: { type: string; status: string }[] } }

const apps = (plural: string): Resource<Workload> => ({ group: 'apps', version: 'v1', plural, namespaced: true })
const NODE_OBJECTS: Resource<Node> = { group: '', version: 'v1', plural: 'nodes', namespaced: false }
const PATIENCE_MS = 180_000

/** Resolves when nodes, controller, agents and registries are. @throws Error after three minutes */
export async function whole(client: KubeClient): Promise<void> {
  await eventually('the nodes and all of podferry are ready', async () => await isWhole(client), PATIENCE_MS)
  // The API server hears of a killed process only when the kubelet has noticed: ask the processes themselves.
  const asked = NODES.map((name) =>
    eventually(`podferry answers on ${name}`, async () => {
      await node(name).exec(['curl', '-sf', '-o', '/dev/null', '-o', '/dev/null', '-o', '/dev/null', ...HEALTH])
      return true
    }),
  )
  await Promise.all(asked)
}

async function isWhole(client: KubeClient): Promise<boolean> {
  const [nodes, deployments, daemonSets] = await Promise.all([
    client.list(NODE_OBJECTS),
    client.list(apps('deployments'), { namespace: NAMESPACE }),
    client.list(apps('daemonsets'), { namespace: NAMESPACE }),
  ])
  const isReady = ({ status }: Node) =>
    status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
  return (
    nodes.items.every(isReady) &&
    deployments.items.every(({ status }) => (status?.readyReplicas ?? 0) >= Math.max(1, status?.replicas ?? 1)) &&
    daemonSets.items.every(({ status }) => status?.numberReady === NODES.length)
  )
}
