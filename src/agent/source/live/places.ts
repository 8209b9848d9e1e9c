/** The folders of one Migration on the source node, as docs/design/0002-live-mode.md draws them. */
import { mkdir, readdir, readFile, stat, statfs } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { errorsIn } from '../../criu-log.ts'
import { type Mounting, removeFolder } from '../../live/remove-folder.ts'
import { runcErrors } from '../../runc-log.ts'

const LIVE_FOLDER = '/run/podferry/live'

/** From the root of the node's file system. @throws Error when the UID is none */
const migrationFolder = (uid: string): string => join(LIVE_FOLDER, checked(uid, /^[0-9a-zA-Z-]{1,64}$/))

/** From the root of the node's file system: one container's images, logs, jobs and keeper. */
export const containerFolder = (uid: string, container: string): string =>
  join(migrationFolder(uid), checked(container, /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/))

/** tar's memory of what level 0 has copied. No container can have this name. */
export const snapshotsFolder = (uid: string): string => join(migrationFolder(uid), '.snapshots')

export const imageFolder = (folder: string): string => join(folder, 'image')
export const workFolder = (folder: string): string => join(folder, 'work')
/** CRIU writes one byte into it when pages can be had. */
export const statusFile = (folder: string): string => join(folder, 'status')

export interface Places {
  /** Makes the folders of a Migration, empty. */
  make(uid: string, containers: readonly string[]): Promise<void>
  /** Names of the containers that have a folder. */
  containers(uid: string): Promise<string[]>
  remove(uid: string): Promise<void>
  /** The moment before CRIU began to stop the processes, as its hook has noted it. Milliseconds since 1970. */
  stoppedAt(folder: string): Promise<number | undefined>
  /** Whether CRIU has said that pages can be had. */
  isServing(folder: string): Promise<boolean>
  /** Whether what holds all these folders is full: then nothing that went wrong says why. */
  isFull(): Promise<boolean>
  /** What CRIU and runc have said about a dump that failed. */
  said(folder: string): Promise<{ criuLog: string[]; runc: string }>
  /** Ports of the loopback that nobody listens on now, each another. */
  freePorts(count: number): Promise<number[]>
}

const SAID_BYTES = 2_000
/** CRIU's images of the smallest program need more. */
const FULL_BYTES = 64 * 1024

/** @param hostRoot where the node's root file system is seen; its network must be this process's own */
export function createPlaces(hostRoot: string, mounting: Mounting): Places {
  const here = (path: string) => join(hostRoot, path)
  return {
    async make(uid, containers) {
      await removeFolder(hostRoot, migrationFolder(uid), mounting)
      const folders = containers.map((container) => containerFolder(uid, container))
      const all = [snapshotsFolder(uid), ...folders.flatMap((folder) => [imageFolder(folder), workFolder(folder)])]
      for (const folder of all) await mkdir(here(folder), { recursive: true, mode: 0o700 })
    },
    async containers(uid) {
      const found = await readdir(here(migrationFolder(uid)), { withFileTypes: true }).catch((error) => {
        if (error.code !== 'ENOENT') throw error
        return []
      })
      return found.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name)
    },
    remove: (uid) => removeFolder(hostRoot, migrationFolder(uid), mounting),
    stoppedAt: async (folder) => (await stat(here(join(folder, 'stopping'))).catch(() => undefined))?.mtimeMs,
    async isServing(folder) {
      return ((await stat(here(statusFile(folder))).catch(() => undefined))?.size ?? 0) > 0
    },
    async isFull() {
      const { bavail, bsize } = await statfs(here('/run/podferry'))
      return bavail * bsize < FULL_BYTES
    },
    async said(folder) {
      // The folder is made anew for each Migration: whatever stands in it is of this dump.
      const criuLog = await errorsIn(here(join(workFolder(folder), 'dump.log')), 0)
      const runc = await readFile(here(join(folder, 'dump.log')), 'utf8').catch(() => '')
      return { criuLog, runc: runcErrors(runc.slice(-SAID_BYTES)) }
    },
    async freePorts(count) {
      // All held before the first is let go: the kernel would give the same one twice.
      const held = await Promise.all(Array.from({ length: count }, hold))
      const ports = held.map((server) => (server.address() as { port: number }).port)
      await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))))
      return ports
    },
  }
}

const hold = (): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(server))
  })

function checked(name: string, pattern: RegExp): string {
  if (!pattern.test(name)) throw new Error(`${JSON.stringify(name)} is no name for a folder of a Migration`)
  return name
}
