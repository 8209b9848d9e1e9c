/** The handler of mode Live on a real node with a real containerd and kubelet: needs the lab, and to run inside its network. */
import assert from 'node:assert/strict'
import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import { kubectl, node as labNode } from '../../../lab/cluster.ts'
import { inMachine, machineEnvironment } from '../../../lab/machine.ts'
import { attempt } from '../../../lab/run.ts'
import { connect } from '../../../lab/scenario/connect.ts'
import { eventually } from '../../../lab/scenario/eventually.ts'
import { counterPod, podOrUndefined, removePod, restarts, runPod } from '../../../lab/scenario/pods.ts'
import { AWAIT_ANNOTATION, LIVE_LABEL, RUNTIME_CLASS } from '../../api/names.ts'
import type { Pod } from '../../api/pod.ts'
import { PODS } from '../../api/resources.ts'
import type { KubeClient } from '../../kube/client.ts'
import { differences, handlerIn, readToml } from './containerd-config.ts'
import { labelNode } from './label.ts'
import { installLive, type LiveInstallOptions, uninstallLive } from './live.ts'
import type { NodeCommands } from './node-commands.ts'
import { containersOfWrapper, WRAPPER } from './programs.ts'

const NODE = 'node-1'
const NAMESPACE = 'default'
const machine = labNode(NODE)
const FILES = ['/etc/containerd', '/opt', '/var/lib/podferry', '/run/podferry', '/proc/sys/fs/pipe-max-size']

const commands: NodeCommands = {
  exec: async (argv, { timeoutMs }) =>
    await attempt(await inMachine(NODE, argv), { env: machineEnvironment(), timeout: timeoutMs }),
}

let client: KubeClient
let options: LiveInstallOptions

before(async () => {
  client = await connect()
  const log = pino({ level: process.env.PODFERRY_LOG_LEVEL ?? 'silent' })
  options = { hostRoot: await machine.root(), log, node: commands }
  // What an earlier run has left.
  await uninstallLive(options)
  // Shared with the rest of the agent: it goes with `uninstall-node`.
  await machine.exec(['mkdir', '-p', '-m', '700', '/var/lib/podferry'])
  await kubectl(['apply', '-f', join(import.meta.dirname, '../../../config/manager/runtime-class.yaml')])
})
after(async () => {
  for (const name of ['before', 'plain', 'forged']) await removePod(client, NAMESPACE, name)
  await allGone()
  await uninstallLive(options)
  await labelNode(client, NODE, false)
  await kubectl(['delete', 'runtimeclass', RUNTIME_CLASS, '--ignore-not-found'])
})

/** Path → mode, link or content of everything that an installation may touch. */
async function snapshot(): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  const script = 'find "$@" -printf "%p %y %m %l\\n" 2>/dev/null | sort; true'
  for (const line of (await machine.exec(['sh', '-c', script, 'sh', ...FILES])).trim().split('\n')) {
    const [path = '', type = '', ...rest] = line.split(' ')
    const content = type === 'f' ? await readFile(join(options.hostRoot, path), 'latin1') : ''
    found[path] = [type, ...rest, content].join(' ')
  }
  return found
}
const dump = async () => readToml(await machine.exec(['containerd', 'config', 'dump']), 'dump')
const containerdPid = () => machine.exec(['cat', '/parts/containerd.pid'])
const ofWrapper = () => containersOfWrapper(options.hostRoot, '/run/containerd')
/** Kubelet ends containers for some seconds after their pod is gone from the API. */
const allGone = () => eventually('no container of the wrapper lives', async () => (await ofWrapper()).length === 0)
const podferryPod = (name: string, annotations: Record<string, string> = {}) => {
  const pod = counterPod({ name, node: NODE })
  return {
    ...pod,
    metadata: { ...pod.metadata, annotations },
    spec: { ...pod.spec, runtimeClassName: RUNTIME_CLASS },
  }
}

test('a node is made able to move pods live, and is byte by byte as before afterwards', async (t) => {
  const [filesBefore, dumpBefore] = [await snapshot(), await dump()]
  await runPod(client, counterPod({ name: 'before', node: NODE }))

  await t.test('a restart of containerd that is not allowed now is left for later', async () => {
    const pid = await containerdPid()
    const ability = await installLive({ ...options, mayRestart: false })
    assert.equal(ability.able === false && ability.reason, 'RestartPending')
    assert.equal(await containerdPid(), pid)
  })

  await t.test('the handler is there, and nothing else of containerd has changed', async () => {
    assert.deepEqual(await installLive(options), { able: true })
    const dumpAfter = await dump()
    assert.deepEqual(differences(dumpBefore, dumpAfter), [])
    assert.deepEqual(handlerIn(dumpAfter)?.pod_annotations, ['podferry.dev/*'])
    await eventually('kubelet says that the node has the handler', async () => {
      const { status } = JSON.parse(await kubectl(['get', 'node', NODE, '-o', 'json'])) as {
        status: { runtimeHandlers?: { name: string }[] }
      }
      return status.runtimeHandlers?.some(({ name }) => name === RUNTIME_CLASS)
    })
  })

  await t.test('a second time changes nothing', async () => {
    const times = async () =>
      Promise.all(
        Object.keys(await snapshot()).map(async (path) =>
          // Of the kernel's own file there is none.
          path.startsWith('/proc/')
            ? ''
            : `${path} ${(await stat(join(options.hostRoot, path)).catch(() => undefined))?.mtimeMs}`,
        ),
      )
    const [pid, former] = [await containerdPid(), await times()]
    assert.deepEqual(await installLive(options), { able: true })
    assert.deepEqual(await times(), former)
    assert.equal(await containerdPid(), pid)
  })

  await t.test('a pod without the annotation runs as ever, and the one from before has not noticed', async () => {
    await labelNode(client, NODE, true)
    const plain = await runPod(client, podferryPod('plain'))
    assert.deepEqual((plain.spec as { nodeSelector?: object }).nodeSelector, { [LIVE_LABEL]: 'true' })
    await machine.exec(['sh', '-c', 'kill -KILL $(pgrep -f "^/counter" -n)'])
    await eventually('its container is restarted', async () => {
      const pod = await podOrUndefined(client, NAMESPACE, 'plain')
      return pod && restarts(pod) === 1 && pod.status?.phase === 'Running'
    })
    const earlier = await podOrUndefined(client, NAMESPACE, 'before')
    assert.ok(earlier && restarts(earlier) === 0)
  })

  await t.test('a pod with a forged annotation gets no state, and a sentence that says why', async () => {
    const path = join(options.hostRoot, WRAPPER)
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.replace('patience=100', 'patience=2'))
    const forged = podferryPod('forged', { [AWAIT_ANNOTATION]: 'aaaaaaaa-0000-4000-8000-000000000000' })
    const { uid } = ((await client.create(PODS, forged)) as Pod).metadata
    await eventually('the pod tells of it', async () => {
      const events = await kubectl(['get', 'events', `--field-selector=involvedObject.uid=${uid}`, '-o', 'json'])
      return events.includes('podferry: no agent opened a staging folder for pod')
    })
    await removePod(client, NAMESPACE, 'forged')
    // Kubelet tries again and again; the last attempt, too, must be over before the wrapper waits for 100 s.
    await eventually('only sandbox and container of one pod are left', async () => (await ofWrapper()).length === 2)
    assert.deepEqual(await installLive(options), { able: true })
    assert.equal(await readFile(path, 'utf8'), text)
  })

  await t.test('while a pod of the handler lives, its wrapper stays', async () => {
    const pid = await containerdPid()
    const { containers } = await uninstallLive(options)
    assert.deepEqual(containers, await ofWrapper())
    assert.equal(await containerdPid(), pid)
    await removePod(client, NAMESPACE, 'plain')
    await allGone()
  })

  await t.test('then everything is as before', async () => {
    assert.deepEqual(await uninstallLive(options), { containers: [] })
    assert.deepEqual(await snapshot(), filesBefore)
    assert.deepEqual(await dump(), dumpBefore)
    const earlier = await podOrUndefined(client, NAMESPACE, 'before')
    assert.ok(earlier && restarts(earlier) === 0)
  })
})

for (const [name, edit] of Object.entries({
  'no imports': (text: string) => text.replace(/^imports = .*\n/m, ''),
  'empty imports': (text: string) => text.replace(/^imports = .*\n/m, 'imports = []\n'),
})) {
  test(`a main configuration with ${name} takes the handler itself, and loses it again`, async () => {
    const path = join(options.hostRoot, '/etc/containerd/config.toml')
    const original = await readFile(path, 'utf8')
    const edited = edit(original)
    assert.notEqual(edited, original)
    await writeFile(path, edited)
    await chmod(path, 0o600)
    try {
      const before = await snapshot()
      assert.deepEqual(await installLive(options), { able: true })
      assert.ok((await readFile(path, 'utf8')).startsWith(`${edited}# BEGIN podferry`))
      assert.deepEqual(await uninstallLive(options), { containers: [] })
      assert.deepEqual(await snapshot(), before)
    } finally {
      await writeFile(path, original)
      await chmod(path, 0o644)
    }
  })
}
