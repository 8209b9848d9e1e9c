/** What a node's disk holds and which parts it runs. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CgroupLayout, cgroupOf } from './cgroups.ts'
import type { MachinePlan } from './machine.ts'
import { exec, multiCallBinds } from './part-scripts.ts'
import { kubeconfigFor, readPki } from './pki.ts'
import {
  CLUSTER_DNS,
  DEBIAN_TREE,
  machineFolder,
  NODES,
  type NodeName,
  nodeAddress,
  nodeNumber,
  POD_CIDR,
  podRange,
  REGISTRY_HOST,
  STATE,
} from './places.ts'
import { binary } from './setup/binaries.ts'
import { SHARED_FOLDER, SHARED_VOLUME_DRIVER, SHARED_VOLUME_SCRIPT } from './shared-volume.ts'

export interface NodeOptions {
  /** Whether containerd may restore a checkpoint image through CreateContainer. */
  restore: boolean
}

export async function nodePlan(node: NodeName, layout: CgroupLayout, options: NodeOptions): Promise<MachinePlan> {
  const folder = machineFolder(node)
  const ca = await readPki('ca.crt')
  const trusted = await readFile(join(DEBIAN_TREE, 'etc/ssl/certs/ca-certificates.crt'), 'utf8')
  return {
    name: node,
    files: {
      'etc/hostname': { content: `${node}\n` },
      'etc/machine-id': { content: `${String(nodeNumber(node)).padStart(32, '0')}\n` },
      'etc/hosts': { content: hosts() },
      'etc/resolv.conf': { content: `nameserver ${CLUSTER_DNS}\n` },
      'etc/ssl/certs/ca-certificates.crt': { content: `${trusted}${ca}` },
      'etc/kubernetes/ca.crt': { content: ca },
      'etc/kubernetes/node.crt': { content: await readPki(`${node}.crt`) },
      'etc/kubernetes/node.key': { content: await readPki(`${node}.key`), mode: 0o600 },
      'etc/kubernetes/kubelet.conf': { content: await kubeconfigFor(node), mode: 0o600 },
      'etc/kubernetes/kubelet.yaml': { content: json(kubeletConfig(node)) },
      'etc/kubernetes/kube-proxy.kubeconfig': { content: await kubeconfigFor('kube-proxy'), mode: 0o600 },
      'etc/kubernetes/kube-proxy.yaml': { content: json(proxyConfig(node)) },
      'etc/containerd/config.toml': { content: containerdConfig(options) },
      'etc/containerd/conf.d/README': { content: 'Drop-ins named *.toml here are read by containerd.\n' },
      [`etc/containerd/certs.d/${REGISTRY_HOST}/hosts.toml`]: { content: `server = "https://${REGISTRY_HOST}"\n` },
      [SHARED_VOLUME_DRIVER]: { content: SHARED_VOLUME_SCRIPT, mode: 0o755 },
      'etc/cni/net.d/10-pods.conflist': { content: json(cniConfig(node)) },
    },
    binds: [
      { kind: 'folder', from: join(folder, 'containerd'), to: 'var/lib/containerd' },
      { kind: 'folder', from: join(folder, 'kubelet'), to: 'var/lib/kubelet' },
      { kind: 'folder', from: join(folder, 'pod-logs'), to: 'var/log/pods' },
      // What a file server would be: both nodes reach it.
      { kind: 'folder', from: join(STATE, 'shared'), to: SHARED_FOLDER },
      ...multiCallBinds(['kubelet', 'kube-proxy']),
      ...['containerd', 'containerd-shim-runc-v2'].map(
        (name) => ({ kind: 'file', from: binary(name), to: `usr/local/sbin/${name}` }) as const,
      ),
      // runc protects itself by running from an overlay of its own folder, which does not see what is mounted there.
      { kind: 'copy', from: binary('runc'), to: 'usr/local/sbin/runc' },
    ],
    parts: {
      containerd: exec('containerd', []),
      kubelet: `until [ -S /run/containerd/containerd.sock ]; do sleep 0.05; done
${exec('/usr/local/sbin/kubelet', [
  '--config=/etc/kubernetes/kubelet.yaml',
  '--kubeconfig=/etc/kubernetes/kubelet.conf',
  `--hostname-override=${node}`,
  `--node-ip=${nodeAddress(node)}`,
  '--v=2',
])}`,
      'kube-proxy': exec('/usr/local/sbin/kube-proxy', ['--config=/etc/kubernetes/kube-proxy.yaml']),
    },
    cgroups: layout.version === 2 ? 'v2' : layout.hierarchies.map((hierarchy) => hierarchy.option).join(' '),
  }
}

const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`

function hosts(): string {
  return `127.0.0.1 localhost\n${NODES.map((node) => `${nodeAddress(node)} ${node}\n`).join('')}`
}

function kubeletConfig(node: NodeName): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: cgroupOf(node),
    failCgroupV1: false,
    failSwapOn: false,
    // Lowering the OOM score wants CAP_SYS_RESOURCE, which not every machine gives.
    oomScoreAdj: 0,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: '/etc/kubernetes/ca.crt' },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: '/etc/kubernetes/node.crt',
    tlsPrivateKeyFile: '/etc/kubernetes/node.key',
    clusterDNS: [CLUSTER_DNS],
    clusterDomain: 'cluster.local',
    resolvConf: '/etc/resolv.conf',
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    imageGCHighThresholdPercent: 99,
    imageGCLowThresholdPercent: 98,
    nodeStatusUpdateFrequency: '5s',
    syncFrequency: '10s',
    staticPodPath: '/etc/kubernetes/manifests',
    fileCheckFrequency: '1s',
    // Fault tests kill the same container many times: it must come back in a second each time.
    featureGates: { KubeletCrashLoopBackOffMax: true },
    crashLoopBackOff: { maxContainerRestartPeriod: '1s' },
  }
}

function proxyConfig(node: NodeName): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig: '/etc/kubernetes/kube-proxy.kubeconfig' },
    mode: 'iptables',
    clusterCIDR: POD_CIDR,
    hostnameOverride: node,
    // The table's size is the whole machine's, not the namespace's: leave it.
    conntrack: { maxPerCore: 0 },
    oomScoreAdj: 0,
  }
}

/** containerd's configuration; the sandbox image comes from the lab's own registry. */
export function containerdConfig(options: NodeOptions): string {
  return `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
imports = ["/etc/containerd/conf.d/*.toml"]
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  enable_experimental_restore_via_create = ${options.restore}
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "/etc/cni/net.d"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "${REGISTRY_HOST}/pause:1"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "/etc/containerd/certs.d"
`
}

function cniConfig(node: NodeName): object {
  return {
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        hairpinMode: true,
        ipMasq: false,
        ipam: {
          type: 'host-local',
          ranges: [[{ subnet: podRange(node) }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
      { type: 'loopback' },
    ],
  }
}
