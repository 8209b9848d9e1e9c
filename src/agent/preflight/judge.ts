/** What only the node can see of a running program, and CRIU would refuse: told before anything is frozen. Pure. */
import { blocks, type Finding } from '../../api/finding.ts'

export interface PodView {
  processes: readonly ProcessView[]
  /** Of the pod's network namespace. */
  mptcpSockets: number
  /** UNIX sockets of the pod that are connected to one outside of it. */
  externalUnixSockets: readonly number[]
  /** Whether root of the node may read and set the limits of other users' processes: it lacks CAP_SYS_RESOURCE otherwise. */
  ownsLimits: boolean
}

export interface ProcessView {
  pid: number
  /** As the kernel names it: up to 15 characters. */
  command: string
  /** Of another user or group than root. */
  isForeign: boolean
  files: readonly OpenFile[]
}

export interface OpenFile {
  /** What /proc/PID/fd/N leads to: a path, `socket:[7]`, `anon_inode:[eventfd]`, … */
  target: string
  /** Only of device files. */
  isDevice?: boolean
}

/** Kernel objects without a way to be dumped, and what they are to a person. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  '[userfaultfd]': 'userfaultfd',
  '[perf_event]': 'a performance counter',
  'bpf-prog': 'a BPF program',
  '[fuse]': 'FUSE',
  'kvm-vm': 'a virtual machine',
  'kvm-vcpu:0': 'a virtual machine',
  '[landlock-ruleset]': 'a Landlock rule set',
  '[secretmem]': 'secret memory',
}

/** What every container has, and CRIU knows. */
const HARMLESS = /^\/dev\/(null|zero|full|random|urandom|tty|ptmx|console|net\/tun|pts\/|shm\/|mqueue\/)/

/** @returns findings that block, one of each kind */
export function judge({ processes, mptcpSockets, externalUnixSockets, ownsLimits }: PodView): Finding[] {
  const open = processes.flatMap(({ pid, command, files }) =>
    files.map((file) => ({ ...file, who: `process ${pid} (${command})` })),
  )
  const sockets = new Set(externalUnixSockets.map((inode) => `socket:[${inode}]`))
  const uring = open.find(({ target }) => target === 'anon_inode:[io_uring]')
  const device = open.find(({ target, isDevice }) => isDevice && !HARMLESS.test(target))
  const unsupported = open.find(({ target }) => UNSUPPORTED[target.replace(/^anon_inode:/, '')] !== undefined)
  // The sandbox is not dumped.
  const foreign = ownsLimits ? undefined : processes.find(({ command, isForeign }) => isForeign && command !== 'pause')
  const external = open.find(({ target }) => sockets.has(target))
  return [
    uring &&
      blocks(
        'IoUring',
        `${uring.who} uses io_uring`,
        'CRIU cannot dump it',
        'set seccompProfile RuntimeDefault on the pod (it forbids io_uring, programs fall back) or sysctl kernel.io_uring_disabled=2 on the nodes',
      ),
    mptcpSockets > 0
      ? blocks(
          'MultipathTcp',
          `the pod has ${mptcpSockets} MPTCP socket(s)`,
          'CRIU cannot dump them',
          'for Go programs set the environment variable GODEBUG=multipathtcp=0',
        )
      : undefined,
    external &&
      blocks(
        'ExternalUnixSocket',
        `${external.who} is connected to a UNIX socket of a process outside the pod (docker.sock, CSI, D-Bus by hostPath)`,
        'that process does not travel',
        'end the connection, or leave the pod where it is',
      ),
    foreign &&
      blocks(
        'LimitsNotReadable',
        `process ${foreign.pid} (${foreign.command}) does not run as root, and root of this node lacks CAP_SYS_RESOURCE`,
        "CRIU cannot read the limits of another user's process",
        'give the machine of the node that capability (what it runs in has taken it away), or run the pod as root',
      ),
    device &&
      blocks(
        'DeviceInUse',
        `${device.who} has ${device.target} open`,
        'CRIU cannot dump the state of a device',
        'leave such a pod where it is',
      ),
    unsupported &&
      blocks(
        'UnsupportedFile',
        `${unsupported.who} has ${UNSUPPORTED[unsupported.target.replace(/^anon_inode:/, '')]} open (${unsupported.target})`,
        'CRIU cannot dump it',
        'leave such a pod where it is, or let the program do without',
      ),
  ].filter((finding) => finding !== undefined)
}
