import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isBlocking, refusalIn } from '../../api/finding.ts'
import { LIVE_LABEL, RUNTIME_CLASS } from '../../api/names.ts'
import type { Pod } from '../../api/pod.ts'
import type { Snapshot } from '../snapshot.ts'
import { aMigration, aNode, aPod, aSnapshot } from '../testing/builders.ts'
import { judgeNode, podFindings } from './preflight.ts'

const podRefusal = (snapshot: Snapshot) => refusalIn(podFindings(snapshot))
const nodeRefusal = (snapshot: Snapshot, node: string) => refusalIn(judgeNode(snapshot, node).findings)

const withPod = (spec: Partial<Pod['spec']>, metadata: Partial<Pod['metadata']> = {}) =>
  aSnapshot({ sourcePod: aPod(spec, metadata) })

const owned = (kind: string) =>
  withPod({}, { ownerReferences: [{ apiVersion: 'apps/v1', kind, name: 'owner', uid: 'u', controller: true }] })

const TWO = [
  { name: 'a', image: 'i' },
  { name: 'b', image: 'i' },
]
const HOOKED = { name: 'c', image: 'i', lifecycle: { postStart: {} } }
const SIDECAR = { name: 's', image: 'i', restartPolicy: 'Always' }
const PROBED = { ...SIDECAR, startupProbe: {} }

const SCRATCH = aPod({ volumes: [{ name: 'scratch', emptyDir: {} }] })

/** A sentence, the situation, the reason, and a word that the remedy must contain. */
const ABOUT_THE_POD: [string, Snapshot, string, RegExp][] = [
  ['a pod that does not exist', aSnapshot({ sourcePod: undefined }), 'PodNotFound', /kubectl get pods/],
  [
    'a pod that is not running',
    aSnapshot({ sourcePod: { ...aPod(), status: { phase: 'Pending' } } }),
    'PodNotRunning',
    /wait/,
  ],
  ['a pod on its way out', withPod({}, { deletionTimestamp: '2026-01-01T00:00:00Z' }), 'PodTerminating', /deleted/],
  ['a pod on the node network', withPod({ hostNetwork: true }), 'HostNamespaces', /Remove hostNetwork/],
  ['a pod in the node process namespace', withPod({ hostPID: true }), 'HostNamespaces', /Remove hostPID/],
  ['a shared process namespace', withPod({ shareProcessNamespace: true }), 'SharedProcessNamespace', /Remove it/],
  ['a static pod', withPod({}, { annotations: { 'kubernetes.io/config.mirror': 'x' } }), 'StaticPod', /manifest/],
  ['a pod of a DaemonSet', owned('DaemonSet'), 'DaemonSetPod', /nowhere/],
  ['a pod of a ReplicaSet', owned('ReplicaSet'), 'OwnerNotSupported', /bare pods/],
  ['a sidecar that must be probed', withPod({ initContainers: [PROBED] }), 'SeveralContainers', /without the probe/],
  ['a hook of a container before the last', withPod({ containers: [HOOKED, ...TWO] }), 'SeveralContainers', /last/],
  [
    'an emptyDir in mode Image',
    aSnapshot({ migration: aMigration({ mode: 'Image' }), sourcePod: SCRATCH }),
    'VolumeNotSupported',
    /scratch.*emptyDir/,
  ],
  [
    'a claim of one node beside an emptyDir in any mode',
    withPod({
      volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'c' } }, ...(SCRATCH.spec.volumes ?? [])],
    }),
    'VolumeNotSupported',
    /data is claim c.*remove the emptyDirs/,
  ],
  ['connections Keep', aSnapshot({ migration: aMigration({ connections: 'Keep' }) }), 'KeepNotAvailable', /Close/],
]

for (const [sentence, snapshot, reason, remedy] of ABOUT_THE_POD) {
  test(`preflight refuses ${sentence}`, () => {
    const finding = podRefusal(snapshot)
    assert.equal(finding?.reason, reason)
    assert.match(finding.message, remedy)
  })
}

const NODE_2_CORDONED = [aNode('node-1'), aNode('node-2', { spec: { unschedulable: true } })]
const TAINT = { key: 'gpu', effect: 'NoSchedule' }

const ABOUT_THE_NODE: [string, Snapshot, string, string, RegExp][] = [
  ['an unknown node', aSnapshot(), 'node-9', 'NodeNotFound', /node-1, node-2/],
  ['the node it is on', aSnapshot(), 'node-1', 'SameNode', /another node/],
  [
    'a node that is not ready',
    aSnapshot({ nodes: [aNode('node-1'), aNode('node-2', { status: { conditions: [] } })] }),
    'node-2',
    'NodeNotReady',
    /another node/,
  ],
  ['a cordoned node', aSnapshot({ nodes: NODE_2_CORDONED }), 'node-2', 'NodeUnschedulable', /uncordon/],
  [
    'a taint that the pod does not tolerate',
    aSnapshot({ nodes: [aNode('node-1'), aNode('node-2', { spec: { taints: [TAINT] } })] }),
    'node-2',
    'NodeTainted',
    /gpu/,
  ],
  ['a node without an agent', aSnapshot({ agents: new Set(['node-1']) }), 'node-2', 'NoAgent', /component=agent/],
  ['a node without a registry', aSnapshot({ registries: new Set() }), 'node-2', 'NoRegistry', /component=registry/],
]

for (const [sentence, snapshot, node, reason, remedy] of ABOUT_THE_NODE) {
  test(`preflight refuses ${sentence}`, () => {
    const finding = nodeRefusal(snapshot, node)
    assert.equal(finding?.reason, reason)
    assert.match(finding.message, remedy)
  })
}

test('a taint that the pod tolerates is no obstacle', () => {
  const snapshot = aSnapshot({
    sourcePod: aPod({ tolerations: [{ key: 'gpu', operator: 'Exists' }] }),
    nodes: [aNode('node-1'), aNode('node-2', { spec: { taints: [TAINT] } })],
  })
  assert.equal(nodeRefusal(snapshot, 'node-2'), undefined)
})

const [ABLE, UNABLE] = [aNode('node-1', {}, { [LIVE_LABEL]: 'true' }), aNode('node-2')]
const LIVE_NODES = [ABLE, aNode('node-2', {}, { [LIVE_LABEL]: 'true' })]
const HALF = [ABLE, UNABLE]
const NO_REGISTRY = new Set<string>()

/** A sentence, spec.mode, the situation, the mode taken or the reason of the refusal, and words of the message. */
const MODES: [string, 'Auto' | 'Live' | 'Image', Partial<Snapshot>, string, RegExp?][] = [
  ['Auto takes Live where both nodes can', 'Auto', { nodes: LIVE_NODES }, 'Live'],
  ['Live needs no registry', 'Auto', { nodes: LIVE_NODES, registries: NO_REGISTRY }, 'Live'],
  ['Auto takes Image where one node cannot, and says why', 'Auto', { nodes: HALF }, 'Image', /node-2 has no label/],
  ['Image is Image', 'Image', { nodes: LIVE_NODES }, 'Image'],
  ['Live is refused where one node cannot', 'Live', { nodes: HALF }, 'LiveNotPossible', /node-2.*use mode Image/],
  [
    'Auto takes Image for a runtime class of its own',
    'Auto',
    { nodes: LIVE_NODES, sourcePod: aPod({ runtimeClassName: 'kata' }) },
    'Image',
    /runtimeClassName.*kata/,
  ],
  [
    'a pod that has moved live moves live again',
    'Live',
    { nodes: LIVE_NODES, sourcePod: aPod({ runtimeClassName: RUNTIME_CLASS }) },
    'Live',
  ],
  ['several containers move by Live', 'Auto', { nodes: LIVE_NODES, sourcePod: aPod({ containers: TWO }) }, 'Live'],
  ['a sidecar moves by Live', 'Live', { nodes: LIVE_NODES, sourcePod: aPod({ initContainers: [SIDECAR] }) }, 'Live'],
  [
    'the last of several containers may have a hook',
    'Live',
    { nodes: LIVE_NODES, sourcePod: aPod({ containers: [...TWO, HOOKED] }) },
    'Live',
  ],
  [
    'several containers are refused where Live is not possible',
    'Auto',
    { nodes: HALF, sourcePod: aPod({ containers: TWO }) },
    'SeveralContainers',
    /Nor is mode Live possible/,
  ],
  ['an emptyDir moves by Live', 'Auto', { nodes: LIVE_NODES, sourcePod: SCRATCH }, 'Live'],
  [
    'an emptyDir is refused where Live is not possible',
    'Auto',
    { nodes: HALF, sourcePod: SCRATCH },
    'VolumeNotSupported',
    /scratch.*Nor is mode Live possible: node node-2/,
  ],
]

for (const [sentence, mode, changes, outcome, words] of MODES) {
  test(sentence, () => {
    const choice = judgeNode(aSnapshot({ migration: aMigration({ mode }), ...changes }), 'node-2')
    const refusal = refusalIn(choice.findings)
    assert.equal(choice.mode === undefined, choice.findings.some(isBlocking))
    assert.equal(refusal?.reason ?? choice.mode, outcome)
    if (words) assert.match(refusal?.message ?? choice.because ?? '', words)
  })
}

test('of two Migrations of one pod exactly one is refused', () => {
  const [first, second] = [aMigration(), aMigration()]
  second.metadata = { ...second.metadata, name: 'second', uid: 'ffffffff-0000-4000-8000-000000000001' }
  const findings = [
    podRefusal(aSnapshot({ migration: first, rivals: [second] })),
    podRefusal(aSnapshot({ migration: second, rivals: [first] })),
  ]
  assert.deepEqual(
    findings.map((finding) => finding?.reason),
    [undefined, 'AlreadyMigrating'],
  )
})

test('a pod that can move is not refused', () => {
  assert.equal(podRefusal(aSnapshot()), undefined)
  assert.equal(nodeRefusal(aSnapshot(), 'node-2'), undefined)
})
