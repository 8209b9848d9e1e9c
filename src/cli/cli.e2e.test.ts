/** The program as people start it, against the lab. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { kubectl } from '../../lab/cluster.ts'
import { imageRef } from '../../lab/images.ts'
import { CHECKOUT, KUBECONFIG } from '../../lab/places.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'

const NAMESPACE = 'cli-e2e'

interface Ended {
  exitCode: number
  stdout: string
  stderr: string
}

const podferry = (...args: string[]): Promise<Ended> =>
  new Promise((resolve) => {
    const all = [...args, '-n', NAMESPACE, '--kubeconfig', KUBECONFIG]
    execFile(join(CHECKOUT, 'bin/podferry'), all, (error, stdout, stderr) =>
      resolve({ exitCode: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    )
  })

before(async () => {
  await deployPodferry({ bus: 'kubernetes' })
  await kubectl(['create', 'namespace', NAMESPACE])
  const overrides = JSON.stringify({ spec: { nodeName: 'node-1', terminationGracePeriodSeconds: 1 } })
  await kubectl(['-n', NAMESPACE, 'run', 'counter', `--image=${imageRef('counter:1')}`, `--overrides=${overrides}`])
  await kubectl(['-n', NAMESPACE, 'wait', '--for=condition=Ready', 'pod/counter', '--timeout=60s'])
})
after(() => kubectl(['delete', 'namespace', NAMESPACE]))

test('a dry run leaves nothing', async () => {
  const { exitCode, stdout } = await podferry('migrate', 'pod/counter', '--dry-run=server', '-o', 'name')
  assert.equal(exitCode, 0)
  assert.match(stdout, /^migration.podferry.dev\/counter-\w{5}\n$/)
  assert.match((await podferry('list')).stderr, /No Migrations found in cli-e2e namespace/)
})

test('what the API server refuses is told in its words', async () => {
  const { exitCode, stderr } = await podferry('migrate', 'pod/counter', '--name', 'Not_A_Name')
  assert.equal(exitCode, 1)
  assert.match(stderr, /^error: POST .*Not_A_Name.* is invalid/)
})

test('a pod that does not exist: exit code 3, the reason and the remedy', async () => {
  const { exitCode, stderr } = await podferry('migrate', 'pod/nobody', '--to', 'node-2', '--wait')
  assert.equal(exitCode, 3)
  assert.match(stderr, /PodNotFound.*kubectl get pods/)
})

test('a pod moves; list and status tell of it; it can be cancelled no more', async () => {
  const moved = await podferry('migrate', 'pod/counter', '--to', 'node-2', '--wait', '--name', 'move')
  assert.equal(moved.exitCode, 0, moved.stderr)
  assert.match(moved.stdout, /moved from node-1 to node-2 as counter-\w+\ndowntime \d+\.\d+s, \d+\.\d+s in all\nnext: /)
  assert.match(moved.stderr, /Restored=True/)
  assert.match((await podferry('list')).stdout, /^move .* node-1 +node-2 +Live +Succeeded +\d/m)
  assert.match((await podferry('status', 'move')).stdout, /^Remove source +done/m)
  const late = await podferry('cancel', 'move')
  assert.deepEqual([late.exitCode, late.stderr], [1, 'error: cli-e2e/move has ended already: the pod has moved\n'])
})

test('version asks the controller', async () => {
  assert.match((await podferry('version')).stdout, /^Controller: +\S+podferry/m)
})
