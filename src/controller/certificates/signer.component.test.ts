/** The whole way of a certificate at a real API server, in the lab with podferry's RBAC applied (`bin/lab up`, then deploy). */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pino } from 'pino'
import { parse, stringify } from 'yaml'
import { KUBECONFIG } from '../../../lab/places.ts'
import { connect } from '../../../lab/scenario/connect.ts'
import { createAgentIdentity } from '../../agent/peer/identity.ts'
import { SIGNING_REQUESTS, type SigningRequest } from '../../agent/peer/signing-request.ts'
import { NAMESPACE } from '../../api/names.ts'
import { PODS } from '../../api/resources.ts'
import { createClient, type KubeClient } from '../../kube/client.ts'
import { kubeconfigConnection } from '../../kube/kubeconfig.ts'
import { createCertificateSigner } from './signer.ts'

const log = pino({ enabled: false })
const POD = `podferry-test-${process.pid}`
const account = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/podferry-agent`

const admin = await connect().catch(() => undefined)
const isThere =
  admin !== undefined &&
  (await admin.request({ method: 'GET', path: account, timeoutMs: 2000 }).then(
    () => true,
    () => false,
  ))

describe('certificate signer in the lab', {
  skip: isThere ? false : 'no lab with podferry in this network namespace',
}, () => {
  const stopping = new AbortController()
  let client: KubeClient
  let folder = ''
  let podUID = ''

  before(async () => {
    assert.ok(admin)
    client = admin
    folder = await mkdtemp(join(tmpdir(), 'podferry-signer-'))
    const pod = await client.create(PODS, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: NAMESPACE, name: POD },
      // It need not run: being bound to the node is what counts.
      spec: {
        nodeName: 'node-1',
        serviceAccountName: 'podferry-agent',
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'main', image: 'podferry.invalid/none', imagePullPolicy: 'Never' }],
      },
    })
    podUID = pod.metadata.uid
    void createCertificateSigner({ client, log, mayAct: () => true }).run(stopping.signal)
  })

  after(async () => {
    stopping.abort()
    await client.delete(PODS, NAMESPACE, POD, { gracePeriodSeconds: 0 })
    await rm(folder, { recursive: true })
    client.close()
  })

  /** A client with a token of the agents' service account. */
  const agentClient = async (boundObjectRef?: object): Promise<KubeClient> => {
    const body = { spec: { expirationSeconds: 600, ...(boundObjectRef ? { boundObjectRef } : {}) } }
    const answer = JSON.parse(await client.request({ method: 'POST', path: `${account}/token`, body })) as {
      status: { token: string }
    }
    const config = parse(await readFile(KUBECONFIG, 'utf8')) as { users: { user: object }[] }
    for (const entry of config.users) entry.user = { token: answer.status.token }
    const kubeconfig = join(folder, `${Math.random()}.yaml`)
    await writeFile(kubeconfig, stringify(config), { mode: 0o600 })
    return createClient({ connection: await kubeconfigConnection({ kubeconfig }), role: 'agent' })
  }

  const denialOf = async (agent: KubeClient, nodeName: string): Promise<string | undefined> => {
    const known = new Set((await client.list(SIGNING_REQUESTS)).items.map(({ metadata }) => metadata.name))
    const giveUp = new AbortController()
    void createAgentIdentity({ client: agent, log, nodeName, podUID }).run(giveUp.signal)
    try {
      for (let tries = 0; tries < 100; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 100))
        const { items } = await client.list(SIGNING_REQUESTS)
        const fresh: SigningRequest | undefined = items.find(({ metadata }) => !known.has(metadata.name))
        const denied = fresh?.status?.conditions?.find(({ type }) => type === 'Denied')
        if (!denied) continue
        assert.equal(fresh?.status?.certificate, undefined)
        return denied.reason
      }
      return undefined
    } finally {
      giveUp.abort()
    }
  }

  it('gives the agent of a node its certificate, with the rights that the manifests give it', async () => {
    const agent = await agentClient({ kind: 'Pod', apiVersion: 'v1', name: POD, uid: podUID })
    const identity = createAgentIdentity({ client: agent, log, nodeName: 'node-1', podUID })
    const giveUp = new AbortController()
    void identity.run(giveUp.signal)
    await identity.ready()
    giveUp.abort()
    const certificate = new X509Certificate(identity.current().cert)
    assert.equal(certificate.subjectAltName, 'DNS:node-1.agents.podferry.dev, IP Address:10.77.0.11')
  })

  it('denies it the certificate of another node', async () => {
    const agent = await agentClient({ kind: 'Pod', apiVersion: 'v1', name: POD, uid: podUID })
    assert.equal(await denialOf(agent, 'node-2'), 'OtherNode')
  })

  it('denies a token that is bound to no pod', async () => {
    assert.equal(await denialOf(await agentClient(), 'node-1'), 'TokenNotBound')
  })
})
