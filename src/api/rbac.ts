/** Who may do what: the one source of `config/rbac`. Each rule is there because a line of code needs it; nothing is granted for later. */
import { AGENT_USERNAME, CA_CONFIG_MAP, SIGNER_NAME } from '../agent/peer/names.ts'
import { CA_SECRET } from '../controller/certificates/authority.ts'
import { GROUP, NAMESPACE, WEBHOOK_CONFIGURATION } from './names.ts'

interface Rule {
  apiGroups: string[]
  resources: string[]
  verbs: string[]
  resourceNames?: string[]
}

interface Part {
  serviceAccount: string
  cluster: Rule[]
  /** In podferry's own namespace only. */
  own: Rule[]
}

const rule = (apiGroup: string, resources: string, verbs: string, ...resourceNames: string[]): Rule => ({
  apiGroups: [apiGroup],
  resources: resources.split(' '),
  verbs: verbs.split(' '),
  ...(resourceNames.length === 0 ? {} : { resourceNames }),
})

const CERTIFICATES = 'certificates.k8s.io'

const RECORD_EVENTS = rule('', 'events', 'create patch')
const WRITE_STATUS = rule(GROUP, 'migrations/status', 'update patch')

const CONTROLLER: Part = {
  serviceAccount: 'podferry-controller',
  cluster: [
    rule(GROUP, 'migrations', 'get list watch update patch delete'),
    WRITE_STATUS,
    // patch: the label by which a ReplicaSet or a Job knows its pod, taken away for the move and given back.
    rule('', 'pods', 'get list watch create delete patch'),
    rule('apps', 'replicasets statefulsets', 'get'),
    rule('batch', 'jobs', 'get'),
    rule('admissionregistration.k8s.io', 'mutatingwebhookconfigurations', 'get update', WEBHOOK_CONFIGURATION),
    rule('', 'nodes', 'get list watch'),
    // Preflight: whether the bytes of a claim lie on the source's own disk.
    rule('', 'persistentvolumeclaims persistentvolumes', 'get'),
    RECORD_EVENTS,
    rule(CERTIFICATES, 'certificatesigningrequests', 'get list watch delete'),
    rule(CERTIFICATES, 'certificatesigningrequests/approval certificatesigningrequests/status', 'update patch'),
    rule(CERTIFICATES, 'signers', 'approve sign', SIGNER_NAME),
  ],
  own: [
    rule('coordination.k8s.io', 'leases', 'get create update'),
    // `create` cannot be limited by name: the API server does not know the name yet when it asks.
    rule('', 'secrets configmaps', 'create'),
    rule('', 'secrets', 'get update', CA_SECRET),
    rule('', 'configmaps', 'get update', CA_CONFIG_MAP),
  ],
}

const AGENT: Part = {
  serviceAccount: AGENT_USERNAME.slice(AGENT_USERNAME.lastIndexOf(':') + 1),
  cluster: [
    rule(GROUP, 'migrations', 'get list watch'),
    WRITE_STATUS,
    rule('', 'pods', 'get list watch'),
    // patch: the label that says whether mode Live works there, and the annotation with the node's facts; a ValidatingAdmissionPolicy allows it on the agent's own node only.
    rule('', 'nodes', 'get patch'),
    rule('', 'nodes/checkpoint', 'create'),
    RECORD_EVENTS,
    rule(CERTIFICATES, 'certificatesigningrequests', 'create get'),
  ],
  own: [rule('', 'configmaps', 'get', CA_CONFIG_MAP)],
}

const EVENT_HANDLER: Part = {
  serviceAccount: 'podferry-event-handler',
  cluster: [rule(GROUP, 'migrations', 'get list'), WRITE_STATUS],
  own: [],
}

const RBAC = 'rbac.authorization.k8s.io'
const RBAC_VERSION = `${RBAC}/v1`
const LABELS = { 'app.kubernetes.io/name': 'podferry' }

function role(kind: 'ClusterRole' | 'Role', name: string, rules: Rule[]) {
  const metadata = { name, ...(kind === 'Role' ? { namespace: NAMESPACE } : {}), labels: LABELS }
  return { apiVersion: RBAC_VERSION, kind, metadata, rules }
}

function binding(kind: 'ClusterRole' | 'Role', name: string) {
  return {
    apiVersion: RBAC_VERSION,
    kind: `${kind}Binding`,
    metadata: { name, ...(kind === 'Role' ? { namespace: NAMESPACE } : {}), labels: LABELS },
    roleRef: { apiGroup: RBAC, kind, name },
    subjects: [{ kind: 'ServiceAccount', name, namespace: NAMESPACE }],
  }
}

function partObjects({ serviceAccount: name, cluster, own }: Part) {
  return [
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name, namespace: NAMESPACE, labels: LABELS },
      // A missing pull secret is no error: clusters whose images need none have none.
      imagePullSecrets: [{ name: 'regcred' }],
    },
    role('ClusterRole', name, cluster),
    binding('ClusterRole', name),
    ...(own.length === 0 ? [] : [role('Role', name, own), binding('Role', name)]),
  ]
}

/** Rights that are added to the cluster's own roles, so that whoever may edit pods may also move them. */
function personRole(name: string, aggregateTo: readonly string[], verbs: string) {
  const labels = {
    ...LABELS,
    ...Object.fromEntries(aggregateTo.map((to) => [`${RBAC}/aggregate-to-${to}`, 'true'])),
  }
  return {
    apiVersion: RBAC_VERSION,
    kind: 'ClusterRole',
    metadata: { name, labels },
    rules: [rule(GROUP, 'migrations', verbs), rule(GROUP, 'migrations/status', 'get')],
  }
}

/** @returns the objects of each file in `config/rbac`, by file name */
export function rbacFiles(): Record<string, object[]> {
  return {
    'controller.yaml': partObjects(CONTROLLER),
    'agent.yaml': partObjects(AGENT),
    'event-handler.yaml': partObjects(EVENT_HANDLER),
    'people.yaml': [
      personRole('podferry-migration-editor', ['admin', 'edit'], 'create delete get list patch update watch'),
      personRole('podferry-migration-viewer', ['view'], 'get list watch'),
    ],
  }
}
