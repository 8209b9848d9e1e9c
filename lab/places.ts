/** Where the lab keeps things and which names and addresses it uses. */
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { LabError } from './lab-error.ts'

export const CHECKOUT = resolve(import.meta.dirname, '..')
export const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'podferry-lab')
export const DEBIAN_TREE = join(CACHE, 'debian')

/**
 * Several labs can run beside each other: their networks are apart, so that only names must differ.
 * The lab's own test runs in one of its own, and leaves the developer's alone.
 */
const INSTANCE = instanceSuffix(process.env.PODFERRY_LAB_INSTANCE)

/** @throws LabError for a name that does not fit into a network namespace's or a folder's. */
export function instanceSuffix(name: string | undefined): string {
  if (!name) return ''
  if (/^[a-z0-9]{1,16}$/.test(name)) return `-${name}`
  throw new LabError(`PODFERRY_LAB_INSTANCE=${name} must be 1 to 16 small letters and digits`, { exitCode: 2 })
}

/** Also the name of the control plane's network namespace. */
export const LAB_NAME = labNameOf(INSTANCE)

/** @param suffix see instanceSuffix */
function labNameOf(suffix: string): string {
  return `podferry-lab${suffix}`
}

/** Run state. Not under the cache: containerd and kubelet need a real file system, and `down` removes it whole. */
export const STATE = join('/var/lib', LAB_NAME)
export const KUBECONFIG = kubeconfigOf(INSTANCE)

/** @param suffix see instanceSuffix */
export function kubeconfigOf(suffix: string): string {
  return join('/var/lib', labNameOf(suffix), 'kubeconfig')
}

export const NETNS_FOLDER = '/run/netns'

export const GATEWAY = '10.77.0.1'
export const API_SERVER = `https://${GATEWAY}:6443`
export const REGISTRY_HOST = `${GATEWAY}:5000`
export const POD_CIDR = '10.244.0.0/16'
export const SERVICE_CIDR = '10.96.0.0/16'
export const CLUSTER_DNS = '10.96.0.10'

export const NODES = ['node-1', 'node-2'] as const
export type NodeName = (typeof NODES)[number]

export const CONTROL_PLANE = 'control-plane'
export type MachineName = NodeName | typeof CONTROL_PLANE
export const MACHINES: readonly MachineName[] = [CONTROL_PLANE, ...NODES]

/** @returns 1 for `node-1` and so on: the digit in the node's addresses. */
export function nodeNumber(node: NodeName): number {
  return NODES.indexOf(node) + 1
}

export function nodeAddress(node: NodeName): string {
  return `10.77.0.${10 + nodeNumber(node)}`
}

export function podRange(node: NodeName): string {
  return `10.244.${nodeNumber(node)}.0/24`
}

export function netnsOf(machine: MachineName, suffix: string = INSTANCE): string {
  return machine === CONTROL_PLANE ? labNameOf(suffix) : `podferry-${machine}${suffix}`
}

/** @param suffix see instanceSuffix */
export function netnsPath(machine: MachineName, suffix: string = INSTANCE): string {
  return join(NETNS_FOLDER, netnsOf(machine, suffix))
}

/** The machine's disk, parts and settings. */
export function machineFolder(machine: MachineName): string {
  return join(STATE, machine)
}

export function isNodeName(name: string): name is NodeName {
  return (NODES as readonly string[]).includes(name)
}

/** @returns `argv` made to run inside the lab's network only, everything else as outside. */
export function enterLab(argv: readonly string[]): string[] {
  return ['nsenter', `--net=${netnsPath(CONTROL_PLANE)}`, '--', ...argv]
}
