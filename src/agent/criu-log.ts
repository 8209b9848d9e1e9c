/** CRIU's own words: found on the node, cut to what matters, and put into a reason with a remedy. */
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'

interface Explanation {
  /** One CamelCase word for a condition. */
  reason: string
  /** What it means and what to do. */
  message: string
}

const LINE_LIMIT = 50
const LINE_LENGTH = 400

/** The last so many bytes of a log are read: CRIU's errors stand at its end. */
const TAIL_BYTES = 1024 * 1024

/** Ordered: the first row that matches any line explains the failure, so causes stand before their consequences. */
const TABLE: readonly (readonly [RegExp, string, string])[] = [
  [
    /anon_inode:\[io_uring\]/,
    'IoUring',
    'the program uses io_uring, which CRIU cannot dump; set seccompProfile RuntimeDefault on the pod (it forbids io_uring, programs fall back) or sysctl kernel.io_uring_disabled=2 on the nodes',
  ],
  [
    /Connected TCP socket, consider using --tcp-established|Connected TCP socket in image|Need to set the --tcp-close/,
    'OpenConnections',
    'the program holds TCP connections and CRIU was not told to close them; /etc/criu/runc.conf needs tcp-close on both nodes (podferry sets it: look for a line that undoes it)',
  ],
  [
    /Can't bind inet socket/,
    'AddressInUse',
    'a socket is bound to the address of the source pod, which the destination pod does not have; let the program listen on 0.0.0.0 or ::',
  ],
  [
    /Can't get rlimit \d+: Operation not permitted/,
    'LimitsNotReadable',
    "the program does not run as root, and root of the node lacks CAP_SYS_RESOURCE, without which CRIU cannot read the limits of another user's process; give the machine of the node that capability, or run the pod as root",
  ],
  [/In-flight connection/, 'ConnectionArriving', 'a connection was being opened in the moment of the dump; try again'],
  [
    /Unsupported proto 262/,
    'MultipathTcp',
    'the program listens with MPTCP, which CRIU cannot dump; for Go programs set the environment variable GODEBUG=multipathtcp=0',
  ],
  [
    /Some file locks are hold by dumping tasks/,
    'FileLocks',
    'the program holds file locks and CRIU was not told to carry them; /etc/criu/runc.conf needs file-locks on both nodes (podferry sets it: look for a line that undoes it)',
  ],
  [
    /External socket is used|Can't dump half of stream unix connection/,
    'ExternalUnixSocket',
    'the program is connected to a UNIX socket of a process outside its container (another container of the pod; docker.sock, CSI, D-Bus by hostPath); it cannot be moved while it is connected',
  ],
  [
    /in-flight socket/,
    'SocketInFlight',
    'a connection over a UNIX socket had been made, and used, but not yet accepted, at this very moment; try again',
  ],
  [
    /\(chr \d+:\d+/,
    'DeviceInUse',
    'the program has a device open (GPU, KVM, FUSE, …), whose state CRIU cannot dump; such pods cannot be moved',
  ],
  [
    /Can't dump file \d+ of that type.*anon_inode/,
    'UnsupportedFile',
    'the program has a kernel object open that CRIU cannot dump (the line names it: perf, bpf, userfaultfd, …)',
  ],
  [/Unsupported mapping found/, 'UnsupportedMapping', 'the program maps device memory, which CRIU cannot dump'],
  [
    /Can't dump ghost file .* increase limit/,
    'GhostFileTooBig',
    'the program holds a deleted file open that is larger than ghost-limit in /etc/criu/runc.conf (podferry sets 64M); close it or raise the limit after the block of podferry',
  ],
  [
    /Can't create link remap/,
    'LinkRemap',
    'the program holds a deleted file open that has other names; /etc/criu/runc.conf needs link-remap (podferry sets it: look for a line that undoes it)',
  ],
  [
    /Can't open file .* on restore|Can't open vma/,
    'FileMissing',
    'a file that the program has open has no such path at the destination: files of configMap, secret and projected volumes have another real path in each pod (a program that only reads them now and then can be moved by trying again), and mode Image does not carry emptyDir, /dev/shm and hostPath volumes',
  ],
  [
    /has bad size \d+|has bad mode 0/,
    'FileChanged',
    'a file that the program has open differs at the destination; both nodes need the same contents and modes (shared volume, same image)',
  ],
  [
    /No mapping for .* mountpoint/,
    'MountMissing',
    'the destination pod lacks a mount that the source has; their volumeMounts must be the same',
  ],
  [
    /has unreachable sharing/,
    'MountPropagation',
    'a volume is mounted with Bidirectional or HostToContainer propagation, which CRIU cannot dump; use None',
  ],
  [
    /FS mnt .* unsupported id|is a fuse mount but not external/,
    'UnsupportedFileSystem',
    'a file system is mounted inside the container that CRIU does not know (FUSE)',
  ],
  [
    /Nested mount namespaces are not supported|Can't dump nested \w+ namespace/,
    'NestedContainers',
    'the container runs containers of its own; such pods cannot be moved',
  ],
  [
    /Can't find suitable path for handle|Can't dump that handle/,
    'InotifyHandle',
    'the program watches a file whose path CRIU cannot find; add force-irmap to /etc/criu/runc.conf or stop the watch',
  ],
  [
    /Unable to freeze cgroup|zombie \d+ found while seizing|Unseizable/,
    'NotFreezable',
    'the processes of the container could not be stopped in time; try again',
  ],
  [
    /do not match expected|Can't fork for \d+: File exists/,
    'PidTaken',
    'a process number of the checkpoint is in use at the destination; pods with shareProcessNamespace cannot be moved',
  ],
  [
    /Failed to create shm set: File exists/,
    'SharedMemoryTwice',
    'two containers of the pod share System V memory, which cannot be restored twice',
  ],
  [
    /Unexpected rt vDSO area bounds|Could not initialize kernel features detection|Can't get \d+:\d+ opt: Operation not supported/,
    'CriuTooOld',
    'CRIU on the node is too old for its kernel; install CRIU 4.2 or newer and run `criu check`',
  ],
  [
    /rseq but kernel lacks get_rseq_conf/,
    'KernelTooOld',
    'the kernel of the node is older than 5.13; CRIU cannot dump programs that use rseq there',
  ],
  [
    /CPU instruction capabilities do not match|CPU xfeatures has unsupported bits|CPU xsave size mismatch|FPU xsave area present, but host cpu/,
    'CpuDiffers',
    'the processor of the destination lacks features that the source has; choose a node of the same kind',
  ],
  [/No space left on device/, 'DiskFull', 'the disk became full while CRIU wrote; free space on the node'],
]

/** @returns the `Error (` lines of a CRIU log, bounded in number and length */
export function criuErrors(log: string): string[] {
  return log
    .split('\n')
    .filter((line) => line.includes('Error ('))
    .slice(0, LINE_LIMIT)
    .map((line) => line.trim().slice(0, LINE_LENGTH))
}

/** @returns what the lines mean and what to do, or undefined when none is known */
export function explainCriu(lines: readonly string[]): Explanation | undefined {
  for (const [pattern, reason, message] of TABLE) {
    if (lines.some((line) => pattern.test(line))) return { reason, message }
  }
  return undefined
}

/**
 * The errors of the last failed dump of a container, as CRIU wrote them on this node.
 *
 * @param since milliseconds since 1970: what is older is of an earlier dump
 * @returns an empty list when no log is found
 */
export async function dumpErrors(hostRoot: string, containerID: string, since: number): Promise<string[]> {
  if (!/^[0-9a-zA-Z_.-]+$/.test(containerID)) return []
  const candidates = [
    // containerd's shim keeps a copy here when runc fails (runtime-contracts 2.2) …
    `/run/containerd/io.containerd.runtime.v2.task/k8s.io/${containerID}/criu-dump.log`,
    // … of what CRIU wrote into its work folder.
    `/var/lib/containerd/io.containerd.grpc.v1.cri/containers/${containerID}/ctrd-checkpoint/dump.log`,
    `/var/lib/containers/storage/overlay-containers/${containerID}/userdata/dump.log`,
  ]
  for (const candidate of candidates) {
    const lines = await errorsIn(join(hostRoot, candidate), since)
    if (lines.length > 0) return lines
  }
  return []
}

/**
 * The errors that CRIU has written into one log.
 *
 * @param path as this process sees it
 * @param since milliseconds since 1970: an older log is of an earlier dump
 * @returns an empty list when there is no such log
 */
export async function errorsIn(path: string, since: number): Promise<string[]> {
  const found = await stat(path).catch(() => undefined)
  return found?.isFile() && found.mtimeMs >= since ? criuErrors(await tail(path, found.size)) : []
}

async function tail(path: string, size: number): Promise<string> {
  const file = await open(path, 'r')
  try {
    const length = Math.min(size, TAIL_BYTES)
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(length), position: size - length })
    return buffer.subarray(0, bytesRead).toString('utf8')
  } finally {
    await file.close()
  }
}
