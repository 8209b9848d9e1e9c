import assert from 'node:assert/strict'
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { inClusterConnection, plainConnection } from './connection.ts'
import { kubeconfigConnection } from './kubeconfig.ts'
import { FakeClock } from './testing/fake-clock.ts'

let directory = ''
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'podferry-kube-'))
})
afterEach(() => rm(directory, { recursive: true }))

const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' }

async function writeVolume(token: string, modified = 1_000) {
  await writeFile(join(directory, 'token'), token)
  await utimes(join(directory, 'token'), modified, modified)
  await writeFile(join(directory, 'ca.crt'), 'CA')
  await writeFile(join(directory, 'namespace'), 'ferries\n')
}

describe('in-cluster connection', () => {
  it('finds address, namespace and token', async () => {
    await writeVolume('one\n')
    const connection = await inClusterConnection({ directory, env })
    assert.equal(connection.server.href, 'https://[fd00::1]:6443/')
    assert.equal(connection.namespace, 'ferries')
    assert.equal((await connection.credentials()).headers.authorization, 'Bearer one')
  })

  it('takes up a token that was rotated', async () => {
    await writeVolume('one')
    const connection = await inClusterConnection({ directory, env, clock: new FakeClock() })
    await writeVolume('two', 2_000)
    assert.equal((await connection.credentials()).headers.authorization, 'Bearer two')
  })

  it('reads the token again after a minute even if its time stamp did not change', async () => {
    await writeVolume('one')
    const clock = new FakeClock()
    const connection = await inClusterConnection({ directory, env, clock })
    await writeVolume('two')
    await clock.advance(59_000)
    assert.equal((await connection.credentials()).headers.authorization, 'Bearer one')
    await clock.advance(1_000)
    assert.equal((await connection.credentials()).headers.authorization, 'Bearer two')
  })

  it('keeps its token while the file is away, and its agent while the CA stays', async () => {
    await writeVolume('one')
    const connection = await inClusterConnection({ directory, env })
    const before = await connection.credentials()
    await rm(join(directory, 'token'))
    const after = await connection.credentials()
    assert.equal(after.headers.authorization, 'Bearer one')
    assert.equal(after.agent, before.agent)
    await writeFile(join(directory, 'ca.crt'), 'NEW CA')
    await utimes(join(directory, 'ca.crt'), 3_000, 3_000)
    assert.notEqual((await connection.credentials()).agent, before.agent)
  })

  it('names what is missing outside a cluster', async () => {
    await assert.rejects(inClusterConnection({ directory, env: {} }), /KUBERNETES_SERVICE_HOST/)
    await assert.rejects(inClusterConnection({ directory, env }), {
      reason: 'NotInCluster',
      message: /token cannot be read/,
    })
  })
})

it('refuses plain HTTP to other machines', () => {
  assert.throws(() => plainConnection('http://10.0.0.1:8080'), { reason: 'InsecureServer' })
})

describe('kubeconfig connection', () => {
  const kubeconfig = JSON.stringify({
    clusters: [{ name: 'c', cluster: { server: 'https://kube.example:6443', 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: { token: 'secret' } }],
    contexts: [{ name: 'main', context: { cluster: 'c', user: 'u', namespace: 'ns' } }],
    'current-context': 'main',
  })

  it('takes server, namespace and token of the context', async () => {
    await writeFile(join(directory, 'config'), kubeconfig)
    const connection = await kubeconfigConnection({ kubeconfig: join(directory, 'config') })
    assert.equal(connection.server.host, 'kube.example:6443')
    assert.equal(connection.namespace, 'ns')
    const { headers, agent } = await connection.credentials()
    assert.equal(headers.authorization, 'Bearer secret')
    assert.equal((await connection.credentials()).agent, agent)
  })

  it('names the contexts there are when the one asked for is missing', async () => {
    await writeFile(join(directory, 'config'), kubeconfig)
    const connection = kubeconfigConnection({ kubeconfig: join(directory, 'config'), context: 'other' })
    await assert.rejects(connection, { reason: 'InvalidKubeconfig', message: /"other".*contexts: main/ })
  })

  it('names the file that cannot be read', async () => {
    await assert.rejects(kubeconfigConnection({ kubeconfig: join(directory, 'none') }), /none cannot be loaded/)
  })
})
