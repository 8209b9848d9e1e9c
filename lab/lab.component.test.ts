/** The lab itself, from nothing to nothing, in an instance of its own. */
import './testing/own-instance.ts'

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { kubectl, node, part } from './cluster.ts'
import { imageRef } from './images.ts'
import { labLeftovers } from './leftovers.ts'
import { runningInit } from './machine.ts'
import { partPid } from './parts.ts'
import { CHECKOUT, LAB_NAME, NODES, type NodeName, STATE } from './places.ts'
import { identityOf, killHard } from './processes.ts'

const lab = (...args: string[]) => execFileSync(join(CHECKOUT, 'bin/lab'), args, { encoding: 'utf8', stdio: 'pipe' })
const sysctl = (name: string) => readFileSync(`/proc/sys/${name}`, 'utf8').trim()
const SYSCTLS = ['fs/nr_open', 'fs/pipe-max-size', 'vm/overcommit_memory', 'kernel/panic']
let former: string[]

before(() => {
  lab('down')
  former = SYSCTLS.map(sysctl)
})
after(() => lab('down'))

/** Tries until it holds; throws what the last try threw. */
async function eventually(what: () => Promise<void>, seconds = 60): Promise<void> {
  const deadline = Date.now() + seconds * 1000
  while (true) {
    try {
      return await what()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await sleep(200)
    }
  }
}

async function lastNumber(pod: string): Promise<number> {
  return Number((await kubectl(['logs', pod, '--tail=1'])).trim())
}

async function counts(pod: string): Promise<void> {
  const before = await lastNumber(pod)
  await eventually(async () => assert.ok((await lastNumber(pod)) > before))
}

async function restarts(pod: string): Promise<number> {
  return Number(await kubectl(['get', 'pod', pod, '-o', 'jsonpath={.status.containerStatuses[0].restartCount}']))
}

async function readiness(name: NodeName): Promise<string> {
  return kubectl(['get', 'node', name, '-o', 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'])
}

const writeOwner = (checkout: string) => {
  mkdirSync(STATE, { recursive: true, mode: 0o700 })
  writeFileSync(join(STATE, 'owner'), `${checkout}\n`)
}

test("up takes over another checkout's lab of which nothing runs, boots two Ready nodes, and has nothing to do when repeated", async () => {
  writeOwner('/elsewhere')
  const first = spawn(join(CHECKOUT, 'bin/lab'), ['up'], { stdio: 'ignore' })
  const ended = new Promise((resolve) => first.on('exit', resolve))
  await sleep(1000)
  assert.throws(() => lab('up'), /the lab is busy with up \(process \d+\)/)
  assert.equal(await ended, 0)
  for (const name of NODES) assert.equal(await readiness(name), 'True')
  const started = Date.now()
  lab('up')
  assert.ok(Date.now() - started < 15_000)
})

test("another checkout's lab that runs is refused", () => {
  writeOwner('/elsewhere')
  try {
    for (const command of ['up', 'down']) assert.throws(() => lab(command), /belongs to the checkout \/elsewhere/)
  } finally {
    writeOwner(CHECKOUT)
  }
})

test('a pod counts on each node and is reached over the network', async () => {
  for (const name of NODES) {
    const overrides = JSON.stringify({ spec: { nodeName: name, terminationGracePeriodSeconds: 1 } })
    await kubectl(['run', `count-${name}`, `--image=${imageRef('counter:1')}`, `--overrides=${overrides}`])
  }
  for (const name of NODES) {
    await kubectl(['wait', '--for=condition=Ready', `pod/count-${name}`, '--timeout=60s'])
    await counts(`count-${name}`)
  }
  const address = await kubectl(['get', 'pod', 'count-node-2', '-o', 'jsonpath={.status.podIP}'])
  // Nothing listens there: an answer of "refused" comes from the pod itself, through both nodes.
  const probe = `exec 3<>/dev/tcp/${address}/1`
  await assert.rejects(node('node-1').exec(['bash', '-c', probe], { timeout: 5000 }), /Connection refused/)
})

test('pods survive kill -9 of kubelet and containerd', async () => {
  for (const killed of ['kubelet', 'containerd'] as const) {
    const before = await partPid('node-1', killed)
    await node('node-1').kill(killed)
    await eventually(async () => {
      const now = await partPid('node-1', killed)
      assert.ok(now !== undefined && now !== before)
    })
  }
  await eventually(() => counts('count-node-1'))
  assert.equal(await restarts('count-node-1'), 0)
})

test('orphans of a node are reaped', async () => {
  await node('node-1').exec(['sh', '-c', '(sleep 0.2 &)'])
  await sleep(1000)
  const states = await node('node-1').exec(['ps', '-eo', 'stat,comm'])
  assert.doesNotMatch(states, /^Z.*sleep/m)
})

test('a killed and a paused API server come back', async () => {
  await part('apiserver').kill()
  await eventually(async () => void (await kubectl(['get', '--raw=/readyz'])))
  await part('apiserver').pause()
  await assert.rejects(kubectl(['get', '--raw=/readyz'], { timeout: 2000 }))
  await part('apiserver').resume()
  await eventually(async () => void (await kubectl(['get', '--raw=/readyz'])))
})

test('a node without its cable is missed, and the pod on it counts on', async () => {
  await node('node-2').cut()
  assert.equal(await node('node-2').isJoined(), false)
  await eventually(async () => assert.equal(await readiness('node-2'), 'Unknown'))
  await node('node-2').join()
  await eventually(async () => assert.equal(await readiness('node-2'), 'True'))
  await counts('count-node-2')
  assert.equal(await restarts('count-node-2'), 0)
})

test('a slow cable is slow until it is not', async () => {
  // 2 MiB at 8 Mbit/s take two seconds, less the first burst of 256 KiB.
  const fetch = "bash -c 'exec 3<>/dev/tcp/10.77.0.12/7777; head -c 2097152 <&3 | wc -c'"
  const timed = async () => {
    const serve = "import socket;s=socket.create_server(('10.77.0.12',7777));c,_=s.accept();c.sendall(bytes(2097152))"
    const server = node('node-2').exec(['python3', '-c', serve])
    await sleep(500)
    const started = Date.now()
    assert.equal((await node('node-1').exec(['sh', '-c', fetch])).trim(), '2097152')
    await server
    return Date.now() - started
  }
  await node('node-2').slow('8mbit')
  assert.ok((await timed()) > 1500)
  await node('node-2').slow(undefined)
  assert.ok((await timed()) < 1500)
})

test('a node whose power was cut boots on its disk, and its pod starts afresh', async () => {
  await node('node-2').exec(['touch', '/var/lib/kept', '/run/lost'])
  await node('node-2').stop()
  await assert.rejects(node('node-2').exec(['true']), /node-2 does not run/)
  await node('node-2').start()
  await node('node-2').exec(['test', '-e', '/var/lib/kept'])
  await assert.rejects(node('node-2').exec(['test', '-e', '/run/lost']))
  await eventually(async () => assert.equal(await restarts('count-node-2'), 1))
  await counts('count-node-2')
})

test('checkpoint restore through CreateContainer can be switched off on one node', async () => {
  const setting = () => node('node-2').exec(['sh', '-c', 'containerd config dump | grep "restore_via_create = true"'])
  await setting()
  lab('node', 'node-2', 'restore', 'off')
  await assert.rejects(setting())
  lab('node', 'node-2', 'restore', 'on')
  await setting()
})

test('a control plane whose first process was killed comes back with its objects and without new nodes', async () => {
  killHard(await runningInit('control-plane'))
  await eventually(async () => void (await assert.rejects(runningInit('control-plane'))))
  const nodes = await Promise.all(NODES.map(runningInit))
  lab('up')
  assert.deepEqual(await Promise.all(NODES.map(runningInit)), nodes)
  await counts('count-node-1')
})

test('down leaves nothing, also with a frozen pod', async () => {
  const frozen = `for f in $(find /sys/fs/cgroup -path '*${LAB_NAME}/node-1*' -name freezer.state); do echo FROZEN > $f; cat $f; done`
  assert.match(await node('node-1').exec(['sh', '-c', frozen]), /FROZEN/)
  lab('down')
  assert.deepEqual(await labLeftovers(), [])
  assert.deepEqual(SYSCTLS.map(sysctl), former)
})

test('down cleans up after kill -9 of up at any moment, and up can be repeated', async () => {
  for (const milliseconds of [150, 400, 700, 1500, 3000]) {
    const killed = spawn(process.execPath, [join(CHECKOUT, 'lab/main.ts'), 'up'], { stdio: 'ignore' })
    const ended = new Promise((resolve) => killed.on('exit', resolve))
    await sleep(milliseconds)
    const identity = killed.pid === undefined ? undefined : await identityOf(killed.pid)
    if (identity !== undefined) killHard(identity.pid)
    await ended
    lab('down')
    assert.deepEqual(await labLeftovers(), [], `killed after ${milliseconds} ms`)
  }
  const killed = spawn(process.execPath, [join(CHECKOUT, 'lab/main.ts'), 'up'], { stdio: 'ignore' })
  await sleep(1200)
  killed.kill('SIGKILL')
  lab('up')
  for (const name of NODES) assert.equal(await readiness(name), 'True')
})
