/** The older operator's commands, in the order of its README, against the lab's API server; at the end nothing is left. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import { kubectl, node } from '../../lab/cluster.ts'
import { readPki } from '../../lab/pki.ts'
import { CHECKOUT, KUBECONFIG, NODES, REGISTRY_HOST } from '../../lab/places.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { undeployPodferry } from '../../lab/scenario/deploy.ts'
import { counterPod, removePod, runPod } from '../../lab/scenario/pods.ts'
import type { KubeClient } from '../../src/kube/client.ts'

const IMG = `IMG=${REGISTRY_HOST}/older/podferry:v1`
const OWN = ['-n', 'podferry-system']

let client: KubeClient
let folder: string
before(async () => {
  client = await connect()
  folder = await mkdtemp(join(tmpdir(), 'podferry-older-operator-'))
  await undeployPodferry()
})
after(async () => {
  client.close()
  await rm(folder, { recursive: true })
})

async function make(...words: string[]): Promise<string> {
  // The tests' own make, if any, must not pass its goals and settings on.
  const { MAKEFLAGS: _, MAKELEVEL: __, ...inherited } = process.env
  const env = { ...inherited, KUBECONFIG }
  const { stdout } = await promisify(execFile)('make', words, { cwd: CHECKOUT, env, maxBuffer: 16 << 20 })
  return stdout
}

const git = async (...words: string[]) => (await promisify(execFile)('git', words, { cwd: CHECKOUT })).stdout

test('make docker-build docker-push: the image is in the registry', async () => {
  const said = await make('docker-build', 'docker-push', IMG)
  assert.match(said, /older\/podferry:v1 sha256:[0-9a-f]{64}\n$/)
})

test('make manifests writes what is committed', async () => {
  const before = await git('status', '--porcelain', 'config')
  await make('manifests')
  assert.equal(await git('status', '--porcelain', 'config'), before)
})

test('make install: the API server knows Migrations', async () => {
  await make('install')
  await kubectl(['wait', '--for=condition=Established', 'crd/migrations.podferry.dev', '--timeout=30s'])
  assert.equal((await kubectl(['get', 'mig', '-A', '-o', 'name'])).trim(), '')
})

test('kubectl create secret: kubelet certificates and the pull secret', async () => {
  await kubectl(['create', 'namespace', 'podferry-system'])
  const files = await Promise.all(
    (['crt', 'key'] as const).map(async (kind) => {
      const path = join(folder, `kubelet.${kind}`)
      await writeFile(path, await readPki(`kubelet-client.${kind}`), { mode: 0o600 })
      return `--from-file=client.${kind}=${path}`
    }),
  )
  await kubectl([...OWN, 'create', 'secret', 'generic', 'kubelet-client-certs', ...files])
  const server = ['--docker-server=registry.example', '--docker-username=somebody', '--docker-password=something']
  await kubectl([...OWN, 'create', 'secret', 'docker-registry', 'regcred', ...server])
})

test('make deploy: every part runs from the image, with both secrets, and the tree stays as it was', async () => {
  const before = await git('status', '--porcelain', 'config')
  await make('deploy', IMG)
  const parts = ['deployment/podferry-controller', 'daemonset/podferry-agent', 'daemonset/podferry-registry']
  for (const part of parts) await kubectl([...OWN, 'rollout', 'status', part, '--timeout=120s'])
  assert.equal(await git('status', '--porcelain', 'config'), before)

  const images = await kubectl([...OWN, 'get', 'pods', '-o', 'jsonpath={.items[*].spec.containers[*].image}'])
  const others = images.split(' ').filter((image) => !IMG.endsWith(image))
  assert.deepEqual(
    others,
    NODES.map(() => `${REGISTRY_HOST}/registry:2`),
  )
  const secrets = await kubectl([...OWN, 'get', 'pods', '-o', 'jsonpath={.items[*].spec.imagePullSecrets[*].name}'])
  assert.deepEqual(new Set(secrets.split(' ')), new Set(['regcred']))
  const certificates = ['exec', 'daemonset/podferry-agent', '--', 'ls', '/etc/podferry/kubelet-client-certs']
  assert.equal(await kubectl([...OWN, ...certificates]), 'client.crt\nclient.key\n')
})

test('kubectl apply -k config/samples: a pod moves, by the certificate where the agent itself has no right', async () => {
  const rights = ['clusterrole', 'podferry-agent', '-o', 'json']
  const role = JSON.parse(await kubectl(['get', ...rights])) as { rules: { resources: string[] }[] }
  role.rules = role.rules.filter(({ resources }) => !resources.includes('nodes/checkpoint'))
  await kubectl(['replace', '-f', '-'], { input: JSON.stringify(role) })

  await runPod(client, counterPod({ name: 'counter-sample', node: 'node-1' }))
  await kubectl(['apply', '-k', join(CHECKOUT, 'config/samples')])
  await kubectl(['wait', '--for=condition=Succeeded', 'mig/migration-sample', '--timeout=120s'])
  const pod = await kubectl(['get', 'mig/migration-sample', '-o', 'jsonpath={.status.destination.podName}'])
  await removePod(client, 'default', pod)
  await kubectl(['delete', '-k', join(CHECKOUT, 'config/samples')])
})

test('make build-installer: one file with everything, which the API server takes', async () => {
  await make('build-installer', IMG)
  const path = join(CHECKOUT, 'dist/install.yaml')
  const kinds = parseAllDocuments(await readFile(path, 'utf8')).map((document) => document.get('kind'))
  for (const kind of ['CustomResourceDefinition', 'Namespace', 'Deployment', 'ClusterRole', 'ServiceAccount'])
    assert.ok(kinds.includes(kind), kind)
  assert.equal(kinds.filter((kind) => kind === 'DaemonSet').length, 2)
  await kubectl(['apply', '--server-side', '--force-conflicts', '--dry-run=server', '-f', path])
})

test('make undeploy uninstall leaves nothing, neither in the API server nor on a node', async () => {
  await make('undeploy', 'uninstall')
  const kinds = 'namespaces,crds,clusterroles,clusterrolebindings,csr,priorityclasses,persistentvolumes'
  const left = (await kubectl(['get', kinds, '-o', 'name'])).split('\n').filter((name) => name.includes('podferry'))
  assert.deepEqual(left, [])
  assert.equal((await kubectl(['get', '--raw=/apis'])).includes('podferry.dev'), false)
  const doctor = promisify(execFile)(join(CHECKOUT, 'bin/podferry'), ['doctor', '--kubeconfig', KUBECONFIG])
  const { stdout } = await doctor.catch((error: { stdout: string }) => error)
  assert.match(stdout, /blocks +NotInstalled[\s\S]*make deploy/)
  const traces = ['/var/lib/podferry', '/run/podferry', '/opt/podferry', '/etc/criu/runc.conf']
  for (const name of NODES) {
    const found = await node(name).exec(['sh', '-c', 'ls -d "$@" 2>/dev/null; true', 'sh', ...traces])
    assert.equal(found, '', `${name} keeps ${found}`)
  }
})

test('make undeploy uninstall once more has nothing to do', async () => {
  await make('undeploy', 'uninstall')
})
