/** Descriptors of other processes: pidfd_open(2) and pidfd_getfd(2), which Node has no word for. */
import { closeSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'

/** The same on all architectures, as all system calls since 5.1. */
const PIDFD_OPEN = 434
const PIDFD_GETFD = 438

/**
 * @param fd of that process
 * @returns a descriptor of this process for the same open file; not inherited by children
 * @throws Error with the kernel's reason
 */
export type TakeDescriptor = (pid: number, fd: number) => number

/** Reads the library that calls the kernel, which takes longer than the calls. @throws Error where it has no build for this machine */
export async function descriptorTaker(): Promise<TakeDescriptor> {
  const { default: koffi } = await import('koffi')
  const syscall = koffi.load(null).func('long syscall(long number, long a, long b, long c)')
  const call = (name: string, ...[number, a, b]: [number: number, a: number, b: number]): number => {
    const result: number = syscall(number, a, b, 0)
    if (result >= 0) return result
    throw new Error(`${name}: ${getSystemErrorName(-koffi.errno())}`)
  }
  return (pid, fd) => {
    const process = call('pidfd_open', PIDFD_OPEN, pid, 0)
    try {
      return call('pidfd_getfd', PIDFD_GETFD, process, fd)
    } finally {
      closeSync(process)
    }
  }
}
