import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { LIVE_LABEL } from '../../api/names.ts'
import type { Node } from '../../api/pod.ts'
import { aNode, aPod, aSnapshot, reporting } from '../../controller/testing/builders.ts'
import { diagnoseNode, diagnosePod } from '../diagnosis.ts'
import { explainPod, nodeTable, podTable } from './findings.ts'

const live = (name: string): Node =>
  reporting(aNode(name, {}, { [LIVE_LABEL]: 'true' }), { criu: '4.2', memoryFreeBytes: 2 ** 33 })
const plain = (name: string): Node => reporting(aNode(name), {})
const terminal = aPod({ hostNetwork: true, containers: [{ name: 'main', image: 'i', tty: true }] })

const stream = (columns?: number) =>
  Object.assign(new PassThrough(), columns === undefined ? {} : { isTTY: true, columns })

test('without --to the node is taken to which the pod can go, by mode Live if there is one', () => {
  const nodes = [live('node-1'), plain('node-2'), live('node-3'), aNode('node-4', { spec: { unschedulable: true } })]
  const all = new Set(nodes.map(({ metadata }) => metadata.name))
  const snapshot = aSnapshot({ nodes, agents: all, registries: all })
  const told = ({ destination, mode }: ReturnType<typeof diagnosePod>) => [destination, mode]
  assert.deepEqual(told(diagnosePod(snapshot, undefined)), ['node-3', 'Live'])
  assert.deepEqual(told(diagnosePod(snapshot, 'node-2')), ['node-2', 'Image'])
  assert.deepEqual(told(diagnosePod(snapshot, 'node-4')), ['node-4', undefined])
})

test('what blocks stands before what warns, and nodes that cannot be seen are not judged', () => {
  const pod = aPod({ containers: [{ name: 'main', image: 'i', stdin: true }], shareProcessNamespace: true })
  const { findings, destination } = diagnosePod(aSnapshot({ sourcePod: pod, nodes: [] }), undefined)
  assert.deepEqual(
    findings.map(({ code }) => code),
    ['SharedProcessNamespace', 'StandardInput', 'SeccompUnconfined'],
  )
  assert.equal(destination, undefined)
})

test('a pod is explained finding by finding, no line longer than 100 characters', () => {
  const lines = explainPod(diagnosePod(aSnapshot({ sourcePod: terminal }), 'node-2'), stream())
  assert.deepEqual(lines.slice(0, 9), [
    'pod default/counter on node-1 cannot move to node-2: 2 findings in the way',
    '  blocks  HostNamespaces',
    '          what    spec.hostNetwork is true',
    "          why     a process that lives in the node's own namespaces can't leave the node",
    '          remedy  Remove hostNetwork from the pod to make it movable',
    '  blocks  Terminal',
    '          what    container main has tty: true',
    '          why     a terminal belongs to the runtime of its node and cannot be put back under the',
    '                  program',
  ])
  for (const line of lines) assert.ok(line.length <= 100, line)
})

test('only a terminal is given colours, and its own width', () => {
  const diagnosis = diagnosePod(aSnapshot({ sourcePod: terminal }), 'node-2')
  const text = explainPod(diagnosis, stream()).join('\n')
  assert.equal(stripVTControlCharacters(text), text)
  const narrow = podTable([diagnosis], false, stream(60))
  assert.ok(narrow.every((line) => line.length <= 60) && narrow[1]?.endsWith('…'), narrow.join('\n'))
  const long = podTable([{ ...diagnosis, name: 'n'.repeat(120) }], false, stream())
  assert.ok(long[1]?.endsWith('spec.hostNetwork is true'), 'another program gets every word')
})

test('pods and nodes are told as tables', () => {
  const snapshot = aSnapshot({ nodes: [live('node-1'), live('node-2')] })
  const able = diagnosePod(snapshot, undefined)
  const unable = diagnosePod({ ...snapshot, sourcePod: terminal }, undefined)
  assert.deepEqual(podTable([able, unable], true, stream()), [
    'NAMESPACE  POD      NODE    MOVES  TO      REASON',
    'default    counter  node-1  Live   node-2  warns: SeccompUnconfined',
    'default    counter  node-1  no     <none>  HostNamespaces: spec.hostNetwork is true',
  ])
  const survey = {
    nodes: snapshot.nodes,
    agents: new Set(['node-1']),
    registries: new Set(['node-1']),
    cluster: {},
    migrations: [],
  }
  const seen = { ...snapshot, ...survey }
  const lines = nodeTable(
    snapshot.nodes.map((node) => diagnoseNode(node, survey, seen)),
    stream(),
  )
  assert.deepEqual(lines.slice(0, 5), [
    'NODE    READY  AGENT  LIVE  IMAGE  RUNTIME  CRIU  KERNEL  MEMORY   DISK',
    'node-1  yes    yes    yes   yes    <none>   4.2   <none>  8.0 GiB  <none>',
    'node-2  yes    no     no    no     <none>   4.2   <none>  8.0 GiB  <none>',
    'node node-2',
    '  blocks  NoAgent',
  ])
})
