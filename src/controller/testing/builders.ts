/** Small real objects for tests: a pod that can move, two nodes that fit, a Migration of it. */
import type { Migration, MigrationStatus } from '../../api/migration.ts'
import { API_VERSION, FACTS_ANNOTATION, FINALIZER, KIND } from '../../api/names.ts'
import type { NodeFacts } from '../../api/node-facts.ts'
import type { Node, Pod } from '../../api/pod.ts'
import type { Snapshot } from '../snapshot.ts'

export const START = '2026-01-01T00:00:00.000Z'
export const MIGRATION_UID = '5f2a1c3e-0000-4000-8000-000000000001'
export const POD_UID = '0a0a0a0a-0000-4000-8000-000000000002'

const meta = (name: string, uid: string) => ({ name, uid, resourceVersion: '1', creationTimestamp: START })

export const aPod = (spec: Partial<Pod['spec']> = {}, metadata: Partial<Pod['metadata']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { ...meta('counter', POD_UID), namespace: 'default', ...metadata },
  spec: { nodeName: 'node-1', containers: [{ name: 'main', image: 'registry.test/counter:1' }], ...spec },
  status: {
    phase: 'Running',
    containerStatuses: [
      {
        name: 'main',
        image: 'registry.test/counter:1',
        imageID: `registry.test/counter@sha256:${'a'.repeat(64)}`,
        restartCount: 0,
        ready: true,
        state: { running: { startedAt: START } },
      },
    ],
  },
})

export const aNode = (
  name: string,
  changes: Partial<Pick<Node, 'spec' | 'status'>> = {},
  labels: Record<string, string> = {},
): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { ...meta(name, `uid-of-${name}`), labels },
  ...(changes.spec ? { spec: changes.spec } : {}),
  status: {
    conditions: [{ type: 'Ready', status: 'True' }],
    nodeInfo: {
      architecture: 'amd64',
      containerRuntimeVersion: 'containerd://2.3.4',
      kernelVersion: '6.18',
      operatingSystem: 'linux',
    },
    ...changes.status,
  },
})

/** @returns the node with what its agent reports, as far as given */
export const reporting = (node: Node, facts: Partial<NodeFacts>): Node => {
  const told = { live: { able: true }, image: { able: true }, ...facts }
  return { ...node, metadata: { ...node.metadata, annotations: { [FACTS_ANNOTATION]: JSON.stringify(told) } } }
}

export const aMigration = (spec: Partial<Migration['spec']> = {}, status?: MigrationStatus): Migration => ({
  apiVersion: API_VERSION,
  kind: KIND,
  metadata: { ...meta('move', MIGRATION_UID), namespace: 'default', generation: 1, finalizers: [FINALIZER] },
  spec: {
    podName: 'counter',
    destinationNode: 'node-2',
    mode: 'Auto',
    connections: 'Auto',
    timeoutSeconds: 600,
    ...spec,
  },
  ...(status ? { status } : {}),
})

export const aSnapshot = (changes: Partial<Snapshot> = {}): Snapshot => ({
  migration: aMigration(),
  rivals: [],
  sourcePod: aPod(),
  destinationPod: undefined,
  pullPod: undefined,
  owner: undefined,
  webhook: undefined,
  nodes: [aNode('node-1'), aNode('node-2')],
  agents: new Set(['node-1', 'node-2']),
  registries: new Set(['node-1', 'node-2']),
  ...changes,
})
