/** The control plane as a lab machine: etcd, API server, controller manager, scheduler and the base image registry. */
import { join } from 'node:path'
import type { MachinePlan } from './machine.ts'
import { exec, multiCallBinds } from './part-scripts.ts'
import { kubeconfigFor, readPki } from './pki.ts'
import { API_SERVER, CACHE, CONTROL_PLANE, GATEWAY, REGISTRY_HOST, SERVICE_CIDR } from './places.ts'

const CONFIG = 'etc/podferry-lab'
const at = (name: string) => `/${CONFIG}/${name}`

/** The base registry keeps its blobs in the cache: images of an earlier `up` need no second push. */
const REGISTRY_STORE = join(CACHE, 'registry')

const SECRETS = ['ca.crt', 'server.crt', 'server.key', 'kubelet-client.crt', 'kubelet-client.key']
const TOKEN_KEYS = ['service-account.key', 'service-account.pub']

export async function controlPlanePlan(): Promise<MachinePlan> {
  const files: MachinePlan['files'] = {
    [`${CONFIG}/registry.yml`]: { content: registryConfig() },
    'etc/hosts': { content: '127.0.0.1 localhost\n' },
  }
  for (const name of [...SECRETS, ...TOKEN_KEYS])
    files[`${CONFIG}/${name}`] = { content: await readPki(name), mode: 0o600 }
  for (const user of ['kube-controller-manager', 'kube-scheduler'])
    files[`${CONFIG}/${user}.kubeconfig`] = { content: await kubeconfigFor(user), mode: 0o600 }
  return {
    name: CONTROL_PLANE,
    files,
    binds: [
      ...multiCallBinds(['kube-apiserver', 'kube-controller-manager', 'kube-scheduler']),
      { kind: 'folder', from: REGISTRY_STORE, to: 'var/lib/docker-registry' },
    ],
    parts: {
      etcd: exec('etcd', etcdFlags()),
      apiserver: exec('/usr/local/sbin/kube-apiserver', apiServerFlags()),
      'controller-manager': exec('/usr/local/sbin/kube-controller-manager', controllerManagerFlags()),
      scheduler: exec('/usr/local/sbin/kube-scheduler', clientFlags('kube-scheduler')),
      registry: exec('docker-registry', ['serve', at('registry.yml')]),
    },
    cgroups: 'none',
  }
}

function etcdFlags(): string[] {
  const url = 'http://127.0.0.1:2379'
  return [
    '--data-dir=/var/lib/etcd',
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    '--listen-peer-urls=http://127.0.0.1:2380',
    // The lab survives kill -9 of etcd, not a power cut of the real machine; syncing would slow every write.
    '--unsafe-no-fsync',
    '--log-level=warn',
  ]
}

function apiServerFlags(): string[] {
  return [
    '--etcd-servers=http://127.0.0.1:2379',
    `--bind-address=${GATEWAY}`,
    `--advertise-address=${GATEWAY}`,
    `--service-cluster-ip-range=${SERVICE_CIDR}`,
    `--tls-cert-file=${at('server.crt')}`,
    `--tls-private-key-file=${at('server.key')}`,
    `--client-ca-file=${at('ca.crt')}`,
    `--kubelet-certificate-authority=${at('ca.crt')}`,
    `--kubelet-client-certificate=${at('kubelet-client.crt')}`,
    `--kubelet-client-key=${at('kubelet-client.key')}`,
    '--kubelet-preferred-address-types=InternalIP',
    `--service-account-key-file=${at('service-account.pub')}`,
    `--service-account-signing-key-file=${at('service-account.key')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    // No kube-proxy runs here: webhooks are called at the addresses of their pods, which are routed.
    '--enable-aggregator-routing=true',
    '--cert-dir=/run/kube-apiserver',
    '--v=1',
  ]
}

/** Flags of a component that is a client of the API server and serves only its own health. */
function clientFlags(name: string): string[] {
  const config = at(`${name}.kubeconfig`)
  return [
    `--kubeconfig=${config}`,
    `--authentication-kubeconfig=${config}`,
    `--authorization-kubeconfig=${config}`,
    '--leader-elect=false',
    `--cert-dir=/run/${name}`,
    '--bind-address=127.0.0.1',
  ]
}

function controllerManagerFlags(): string[] {
  return [
    ...clientFlags('kube-controller-manager'),
    `--service-account-private-key-file=${at('service-account.key')}`,
    `--root-ca-file=${at('ca.crt')}`,
    '--use-service-account-credentials=true',
    '--node-monitor-grace-period=20s',
  ]
}

function registryConfig(): string {
  return `version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: /var/lib/docker-registry}, delete: {enabled: true}}
http: {addr: "${REGISTRY_HOST}", tls: {certificate: ${at('server.crt')}, key: ${at('server.key')}}}
`
}

/** Objects that a cluster has after kubeadm and that pods, `kubectl logs` and podferry's agent count on. */
export async function clusterObjects(): Promise<object> {
  return {
    apiVersion: 'v1',
    kind: 'List',
    items: [
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'kubeadm:cluster-admins' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'kubeadm:cluster-admins' }],
      },
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'kubelet-serving-ca', namespace: 'kube-system' },
        data: { 'ca.crt': await readPki('ca.crt') },
      },
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'lab', namespace: 'kube-public' },
        data: { server: API_SERVER, registry: REGISTRY_HOST },
      },
    ],
  }
}
