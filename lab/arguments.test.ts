import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArguments } from './arguments.ts'
import type { LabError } from './lab-error.ts'

const read: [line: string, expected: object][] = [
  ['', { name: 'help' }],
  ['--help', { name: 'help' }],
  ['up', { name: 'up', noRestore: [] }],
  ['up --no-restore node-2', { name: 'up', noRestore: ['node-2'] }],
  ['down --force', { name: 'down', force: true }],
  ['kubectl get pods -o wide', { name: 'kubectl', args: ['get', 'pods', '-o', 'wide'] }],
  ['enter node --test', { name: 'enter', argv: ['node', '--test'] }],
  ['shell node-1 ps -ef', { name: 'shell', machine: 'node-1', argv: ['ps', '-ef'] }],
  ['logs apiserver', { name: 'logs', machine: 'control-plane', part: 'apiserver', follow: false }],
  ['logs -f node-2/kubelet', { name: 'logs', machine: 'node-2', part: 'kubelet', follow: true }],
  ['node node-1 stop', { name: 'node', node: 'node-1', action: { do: 'stop' } }],
  ['node node-1 slow 100mbit', { name: 'node', node: 'node-1', action: { do: 'slow', rate: '100mbit' } }],
  ['node node-1 slow off', { name: 'node', node: 'node-1', action: { do: 'slow', rate: undefined } }],
  ['node node-2 kill containerd', { name: 'node', node: 'node-2', action: { do: 'kill', part: 'containerd' } }],
  ['node node-2 restore off', { name: 'node', node: 'node-2', action: { do: 'restore', on: false } }],
  ['part etcd pause', { name: 'part', part: 'etcd', action: 'pause' }],
  ['image publish podferry:dev', { name: 'image', action: 'publish', images: ['podferry:dev'] }],
  ['image list', { name: 'image', action: 'list' }],
  ['kafka start', { name: 'kafka', action: 'start' }],
]

for (const [line, expected] of read)
  test(`"lab ${line}" is read`, () => {
    assert.deepEqual(parseArguments(line.split(' ').filter(Boolean)), expected)
  })

const refused: [line: string, complaint: RegExp][] = [
  ['fly', /no command fly/],
  ['up now', /nothing is known about now/],
  ['up --no-restore node-3', /node-3 is no node/],
  ['node', /nothing is no node/],
  ['node node-1', /the action must be one of stop, start/],
  ['node node-1 slow fast', /fast is no rate/],
  ['node node-1 slow', /the rate is missing/],
  ['part etcd', /the action must be one of kill/],
  ['shell node-9', /node-9 is no machine/],
  ['enter', /wants a command/],
  ['image ref', /wants one image/],
  ['image publish --all', /no option --all/],
]

for (const [line, complaint] of refused)
  test(`"lab ${line}" is refused`, () => {
    assert.throws(
      () => parseArguments(line.split(' ').filter(Boolean)),
      (error: LabError) => complaint.test(error.message) && error.exitCode === 2,
    )
  })
