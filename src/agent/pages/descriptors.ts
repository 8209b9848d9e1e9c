/** Descriptors of other processes: pidfd_open(2), pidfd_getfd(2), and what is done to them that Node has no word for. */
import { closeSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'

/** The same on all architectures, as all system calls since 5.1. */
const PIDFD_OPEN = 434
const PIDFD_GETFD = 438
/** tcp(7); the same on all architectures that Node runs on. */
const IPPROTO_TCP = 6
const TCP_CORK = 3

/**
 * @param fd of that process
 * @returns a descriptor of this process for the same open file; not inherited by children
 * @throws Error with the kernel's reason
 */
export type TakeDescriptor = (pid: number, fd: number) => number

export interface Descriptors {
  take: TakeDescriptor
  /** Sends what a TCP socket holds back, now and from now on. @throws Error with the kernel's reason */
  uncork(fd: number): void
}

/** Reads the library that calls the kernel, which takes longer than the calls. @throws Error where it has no build for this machine */
export async function createDescriptors(): Promise<Descriptors> {
  const { default: koffi } = await import('koffi')
  const libc = koffi.load(null)
  const syscall = libc.func('long syscall(long number, long a, long b, long c)')
  const setsockopt = libc.func('int setsockopt(int fd, int level, int name, const int *value, uint32_t length)')
  const checked = (name: string, result: number): number => {
    if (result >= 0) return result
    throw new Error(`${name}: ${getSystemErrorName(-koffi.errno())}`)
  }
  return {
    take(pid, fd) {
      const process = checked('pidfd_open', syscall(PIDFD_OPEN, pid, 0, 0))
      try {
        return checked('pidfd_getfd', syscall(PIDFD_GETFD, process, fd, 0))
      } finally {
        closeSync(process)
      }
    },
    uncork: (fd) => void checked('setsockopt', setsockopt(fd, IPPROTO_TCP, TCP_CORK, [0], 4)),
  }
}
