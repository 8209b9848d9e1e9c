import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AGENT_USERNAME, SIGNER_NAME } from '../../agent/peer/names.ts'
import type { SigningRequest } from '../../agent/peer/signing-request.ts'
import type { Node, Pod } from '../../api/pod.ts'
import { judgeRequest, type Witnesses } from './judge.ts'
import type { ParsedRequest } from './request.ts'

const UID = '0a0a0a0a-0000-4000-8000-000000000002'
const meta = (name: string) => ({ name, uid: UID, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' })

const aRequest = (
  spec: Partial<SigningRequest['spec']> = {},
  extra: Record<string, string[]> = {},
): SigningRequest => ({
  apiVersion: 'certificates.k8s.io/v1',
  kind: 'CertificateSigningRequest',
  metadata: { name: 'r' },
  spec: {
    request: '',
    signerName: SIGNER_NAME,
    usages: ['digital signature', 'server auth', 'client auth'],
    username: AGENT_USERNAME,
    extra: {
      'authentication.kubernetes.io/node-name': ['node-1'],
      'authentication.kubernetes.io/pod-name': ['agent-x'],
      'authentication.kubernetes.io/pod-uid': [UID],
      ...extra,
    },
    ...spec,
  },
})

const parsed: ParsedRequest = {
  subject: [
    ['O', 'podferry:agents'],
    ['CN', 'podferry:agent:node-1'],
  ],
  dnsNames: ['node-1.agents.podferry.dev'],
  addresses: ['10.0.0.1', 'fd00:0:0:0:0:0:0:1'],
  other: [],
  keyType: 'ec prime256v1',
  publicKey: new ArrayBuffer(0),
}

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { ...meta('agent-x'), namespace: 'podferry-system' },
  spec: { nodeName: 'node-1', containers: [] },
}
const node: Node = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: meta('node-1'),
  status: {
    addresses: [
      { type: 'InternalIP', address: '10.0.0.1' },
      { type: 'InternalIP', address: 'fd00::1' },
      { type: 'Hostname', address: 'node-1' },
    ],
  },
}
const witnesses: Witnesses = { pod, node }

describe('judgeRequest', () => {
  it('approves the agent of the node', () => {
    assert.deepEqual(judgeRequest(aRequest(), parsed, witnesses), {
      approve: true,
      node: 'node-1',
      addresses: parsed.addresses,
    })
  })

  const refusals: [
    sentence: string,
    request: SigningRequest,
    parsed: ParsedRequest,
    witnesses: Witnesses,
    reason: string,
  ][] = [
    ['another signer', aRequest({ signerName: 'x.y/z' }), parsed, witnesses, 'WrongSigner'],
    [
      'another service account',
      aRequest({ username: 'system:serviceaccount:default:default' }),
      parsed,
      witnesses,
      'NotAnAgent',
    ],
    ['an administrator', aRequest({ username: 'admin' }), parsed, witnesses, 'NotAnAgent'],
    ['a token that is bound to nothing', aRequest({ extra: {} }), parsed, witnesses, 'TokenNotBound'],
    [
      'two node names',
      aRequest({}, { 'authentication.kubernetes.io/node-name': ['node-1', 'node-2'] }),
      parsed,
      witnesses,
      'TokenNotBound',
    ],
    ['a pod that is gone', aRequest(), parsed, { pod: undefined, node }, 'PodUnknown'],
    [
      'a pod of the same name made later',
      aRequest({}, { 'authentication.kubernetes.io/pod-uid': ['other'] }),
      parsed,
      witnesses,
      'PodUnknown',
    ],
    ['no pod UID', aRequest({}, { 'authentication.kubernetes.io/pod-uid': [] }), parsed, witnesses, 'PodUnknown'],
    [
      'a pod on another node',
      aRequest(),
      parsed,
      { pod: { ...pod, spec: { ...pod.spec, nodeName: 'node-2' } }, node },
      'PodElsewhere',
    ],
    ['a node that is gone', aRequest(), parsed, { pod, node: undefined }, 'NodeUnknown'],
    [
      "another node's name in the subject",
      aRequest(),
      {
        ...parsed,
        subject: [
          ['O', 'podferry:agents'],
          ['CN', 'podferry:agent:node-2'],
        ],
      },
      witnesses,
      'OtherNode',
    ],
    [
      'a further organization',
      aRequest(),
      { ...parsed, subject: [...parsed.subject, ['O', 'system:masters']] },
      witnesses,
      'WrongSubject',
    ],
    ['no subject', aRequest(), { ...parsed, subject: [] }, witnesses, 'WrongSubject'],
    [
      "another node's DNS name",
      aRequest(),
      { ...parsed, dnsNames: ['node-2.agents.podferry.dev'] },
      witnesses,
      'WrongNames',
    ],
    [
      'one DNS name too many',
      aRequest(),
      { ...parsed, dnsNames: [...parsed.dnsNames, 'kubernetes'] },
      witnesses,
      'WrongNames',
    ],
    ['no DNS name', aRequest(), { ...parsed, dnsNames: [] }, witnesses, 'WrongNames'],
    ['a foreign address', aRequest(), { ...parsed, addresses: ['10.0.0.1', '10.0.0.2'] }, witnesses, 'WrongAddresses'],
    ['an email address', aRequest(), { ...parsed, other: ['email a@b'] }, witnesses, 'TooMuchAsked'],
    ['a basic-constraints extension', aRequest(), { ...parsed, other: ['2.5.29.19'] }, witnesses, 'TooMuchAsked'],
    ['a weak key', aRequest(), { ...parsed, keyType: 'rsa 1024' }, witnesses, 'WrongKey'],
    [
      'a further usage',
      aRequest({ usages: ['digital signature', 'server auth', 'client auth', 'cert sign'] }),
      parsed,
      witnesses,
      'WrongUsages',
    ],
    ['a usage too few', aRequest({ usages: ['digital signature', 'client auth'] }), parsed, witnesses, 'WrongUsages'],
  ]
  for (const [sentence, request, contents, world, reason] of refusals) {
    it(`denies ${sentence}`, () => {
      const verdict = judgeRequest(request, contents, world)
      assert.equal(verdict.approve, false)
      assert.equal(!verdict.approve && verdict.reason, reason)
    })
  }
})
