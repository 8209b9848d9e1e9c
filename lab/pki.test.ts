import assert from 'node:assert/strict'
import { test } from 'node:test'
import { certificatePlan, kubeconfig } from './pki.ts'

const planOf = (file: string) => certificatePlan().find((plan) => plan.file === file)

test("a kubelet's certificate names its node and address", () => {
  assert.deepEqual(planOf('node-2'), {
    file: 'node-2',
    subject: 'O=system:nodes, CN=system:node:node-2',
    names: [
      { type: 'dns', value: 'node-2' },
      { type: 'ip', value: '10.77.0.12' },
    ],
  })
})

test('the server certificate covers the lab address, the service address and the in-cluster names', () => {
  const names = planOf('server')?.names.map(({ value }) => value) ?? []
  for (const name of ['10.77.0.1', '10.96.0.1', '127.0.0.1', 'kubernetes.default.svc']) assert.ok(names.includes(name))
})

test('only the admin is a master', () => {
  const masters = certificatePlan().filter((plan) => plan.subject.includes('system:masters'))
  assert.deepEqual(
    masters.map((plan) => plan.file),
    ['admin'],
  )
})

test('a kubeconfig embeds its files', () => {
  const config = JSON.parse(kubeconfig({ ca: 'A', certificate: 'B', key: 'C' })) as {
    clusters: { cluster: { server: string; 'certificate-authority-data': string } }[]
    users: { user: { 'client-key-data': string } }[]
  }
  assert.equal(config.clusters[0]?.cluster.server, 'https://10.77.0.1:6443')
  assert.equal(Buffer.from(config.clusters[0]?.cluster['certificate-authority-data'] ?? '', 'base64').toString(), 'A')
  assert.equal(Buffer.from(config.users[0]?.user['client-key-data'] ?? '', 'base64').toString(), 'C')
})
