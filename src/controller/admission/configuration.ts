/** The MutatingWebhookConfiguration: whom the API server asks, about which pods. Pure. */
import { NAMESPACE, PROBE_ANNOTATION, PROBE_NAME } from '../../api/names.ts'
import type { KubeObject, Resource } from '../../kube/resource.ts'

export interface WebhookConfiguration extends KubeObject {
  webhooks?: object[]
}

export const WEBHOOK_CONFIGURATIONS: Resource<WebhookConfiguration> = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'mutatingwebhookconfigurations',
  namespaced: false,
}

/** The Service before the controller. */
const SERVICE = 'podferry-webhook'
export const SERVICE_NAMES = [`${SERVICE}.${NAMESPACE}.svc`]

interface Settings {
  /** Secret, with its leading slash. */
  path: string
  /** PEM. */
  authority: string
  /** UIDs of the owners with a move that waits for its replacement. */
  owners: readonly string[]
  /** Pods whose StatefulSet may make them by way of the webhook only; without a name all that a Job may make. */
  held: readonly HeldName[]
}

export interface HeldName {
  owner: string
  podName?: string
}

/** Evaluated in the API server: a pod that it lets go by costs no call. */
function expression(owners: readonly string[]): string {
  const probe = `has(object.metadata.annotations) && '${PROBE_ANNOTATION}' in object.metadata.annotations`
  if (owners.length === 0) return probe
  const list = owners.map((uid) => `'${uid}'`).join(', ')
  return `(${probe}) || (has(object.metadata.ownerReferences) && object.metadata.ownerReferences.exists(o, o.uid in [${list}]))`
}

/** Exactly the pods on the move, and our own dry runs of them. UIDs and names are Kubernetes' own: nothing in them needs quoting. */
function heldExpression(held: readonly HeldName[]): string {
  const made = held.map(({ owner, podName }) => {
    const whose = `object.metadata.ownerReferences.exists(o, o.uid == '${owner}')`
    return podName === undefined
      ? `(${whose})`
      : `(${whose} && ((has(object.metadata.name) && object.metadata.name == '${podName}') || (has(object.metadata.generateName) && object.metadata.generateName == '${PROBE_NAME}')))`
  })
  return held.length === 0 ? 'false' : `has(object.metadata.ownerReferences) && (${made.join(' || ')})`
}

/** @returns the configuration's `webhooks`, with every default written out so that it can be compared with what is stored */
export const webhooksFor = ({ path, authority, owners, held }: Settings): object[] => {
  const common = {
    admissionReviewVersions: ['v1'],
    clientConfig: {
      service: { namespace: NAMESPACE, name: SERVICE, path, port: 443 },
      caBundle: Buffer.from(authority).toString('base64'),
    },
    rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'], scope: 'Namespaced' }],
    timeoutSeconds: 2,
    sideEffects: 'NoneOnDryRun',
    matchPolicy: 'Equivalent',
    reinvocationPolicy: 'Never',
    namespaceSelector: {
      matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: [NAMESPACE] }],
    },
    objectSelector: {},
  }
  return [
    {
      name: 'replacements.podferry.dev',
      ...common,
      // No pod is ever kept from being made because podferry is away,
      failurePolicy: 'Ignore',
      matchConditions: [{ name: 'replacement', expression: expression(owners) }],
    },
    {
      name: 'successors.podferry.dev',
      ...common,
      // but for one whose state is on its way: made without it, it would start afresh. Its owner tries until it works.
      failurePolicy: 'Fail',
      matchConditions: [{ name: 'successor', expression: heldExpression(held) }],
    },
  ]
}
