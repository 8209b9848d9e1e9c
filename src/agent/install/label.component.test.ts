/** What an agent may do to nodes, asked of a real API server with podferry's own rights: needs the lab. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { kubectl, kubectlEnvironment } from '../../../lab/cluster.ts'
import { KUBECONFIG } from '../../../lab/places.ts'
import { connect } from '../../../lab/scenario/connect.ts'
import { eventually } from '../../../lab/scenario/eventually.ts'
import { LIVE_LABEL } from '../../api/names.ts'
import { NODES } from '../../api/resources.ts'
import { labelNode } from './label.ts'

const RBAC = join(import.meta.dirname, '../../../config/rbac')
const AGENT = 'system:serviceaccount:podferry-system:podferry-agent'
let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podferry-label-'))
  await kubectl(['apply', '-f', join(RBAC, '../manager/namespace.yaml')])
  for (const file of ['agent.yaml', 'agent-own-node.yaml']) await kubectl(['apply', '-f', join(RBAC, file)])
  for (const [file, node] of Object.entries({ own: 'node-1', unbound: undefined })) {
    const config = parse(await readFile(KUBECONFIG, 'utf8')) as { users: { user: object }[] }
    const extra = node === undefined ? {} : { 'as-user-extra': { 'authentication.kubernetes.io/node-name': [node] } }
    for (const { user } of config.users) Object.assign(user, { as: AGENT, ...extra })
    await writeFile(join(folder, file), stringify(config), { mode: 0o600 })
  }
  // A new policy holds once the API server has heard of it.
  await eventually('the policy holds', () =>
    patch('node-2', { metadata: { labels: { 'podferry.dev/test': 'x' } } }, 'unbound').then(
      () => false,
      () => true,
    ),
  )
})
after(async () => {
  await kubectl(['label', 'nodes', '--all', 'podferry.dev/test-', `${LIVE_LABEL}-`])
  await rm(folder, { recursive: true })
})

const patch = (node: string, body: object, as: 'own' | 'unbound' = 'own') =>
  kubectl(['patch', 'node', node, '--type=merge', '-p', JSON.stringify(body)], {
    env: { ...kubectlEnvironment(), KUBECONFIG: join(folder, as) },
  })
const label = (key: string, value: string | null = 'x') => ({ metadata: { labels: { [key]: value } } })

const annotation = (key: string, value: string | null = 'x') => ({ metadata: { annotations: { [key]: value } } })

test('an agent may set and take labels and annotations of podferry on its own node', async () => {
  for (const one of [label, annotation]) {
    await patch('node-1', one('podferry.dev/test'))
    await patch('node-1', one('podferry.dev/test', null))
  }
})

for (const [what, attempt] of Object.entries({
  'another node': () => patch('node-2', label('podferry.dev/test')),
  'its own node by a token that is bound to none': () => patch('node-1', label('podferry.dev/test'), 'unbound'),
  'a label of others': () => patch('node-1', label('node-role.kubernetes.io/control-plane')),
  'the removal of a label of others': () => patch('node-1', label('kubernetes.io/os', null)),
  'an annotation of others': () => patch('node-1', annotation('example.com/x')),
  'the removal of an annotation of others': () => patch('node-1', annotation('node.alpha.kubernetes.io/ttl', null)),
  'an annotation of another node': () => patch('node-2', annotation('podferry.dev/test')),
  'a finalizer': () => patch('node-1', { metadata: { finalizers: ['podferry.dev/x'] } }),
  'a taint': () => patch('node-1', { spec: { taints: [{ key: 'x', effect: 'NoSchedule' }] } }),
  'a cordon': () => patch('node-1', { spec: { unschedulable: true } }),
})) {
  test(`an agent is refused ${what}`, async () => {
    await assert.rejects(attempt(), /podferry-agent-own-node/)
  })
}

test('everybody else changes nodes as before', async () => {
  await kubectl(['label', 'node', 'node-2', 'test.example/x=y'])
  await kubectl(['label', 'node', 'node-2', 'test.example/x-'])
})

test('the label comes, goes, and may be missing already', async () => {
  const client = await connect()
  const labels = async () => (await client.get(NODES, undefined, 'node-1')).metadata.labels ?? {}
  await labelNode(client, 'node-1', true)
  assert.equal((await labels())[LIVE_LABEL], 'true')
  for (let times = 0; times < 2; times++) await labelNode(client, 'node-1', false)
  assert.equal(LIVE_LABEL in (await labels()), false)
  client.close()
})
