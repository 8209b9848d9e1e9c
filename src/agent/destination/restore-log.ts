/** CRIU's restore.log: containerd deletes it together with the container that failed, so it is held open while one is expected. */
import { type FSWatcher, watch } from 'node:fs'
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { criuErrors } from '../criu-log.ts'

/** Work folders of containerd's shims, one a container (runtime-contracts 2.7). */
const TASKS = '/var/lib/containerd/io.containerd.runtime.v2.task/k8s.io'
const LOG = 'restore.log'
/** A folder this young may be of a restore that began before we looked: the agent was restarted meanwhile. */
const YOUNG_MS = 30_000
const TAIL_BYTES = 1024 * 1024

export interface RestoreLogs {
  /** From now on logs are caught, until everybody who asked has released. */
  hold(migrationUID: string): void
  release(migrationUID: string): void
  /** @returns CRIU's `Error (` lines of the last of these containers that has any */
  errors(containerIDs: readonly string[]): Promise<string[]>
}

/** @param folder where the node's root file system is seen */
export function createRestoreLogs(hostRoot: string): RestoreLogs {
  const folder = join(hostRoot, TASKS)
  const holders = new Set<string>()
  const files = new Map<string, FileHandle>()
  const watchers = new Map<string, FSWatcher>()
  let parent: FSWatcher | undefined

  const capture = async (id: string): Promise<void> => {
    if (holders.size === 0 || files.has(id)) return
    const file = await open(join(folder, id, LOG), 'r').catch(() => undefined)
    if (!file) return
    unwatch(id)
    if (holders.size === 0 || files.has(id)) await file.close()
    else files.set(id, file)
  }

  const watchContainer = (id: string): void => {
    if (watchers.has(id) || files.has(id)) return
    try {
      const watcher = watch(join(folder, id), (_event, name) => {
        if (name === LOG) void capture(id)
      })
      watcher.on('error', () => unwatch(id))
      watchers.set(id, watcher)
    } catch {
      // Gone already: it was no restore, or too short for anybody.
      return
    }
    void capture(id)
  }

  const unwatch = (id: string): void => {
    watchers.get(id)?.close()
    watchers.delete(id)
  }

  const start = async (): Promise<void> => {
    try {
      parent = watch(folder, (_event, id) => {
        if (id && isContainerID(id)) watchContainer(id)
      })
      parent.on('error', stop)
    } catch {
      // Another runtime: it keeps its log elsewhere, and our message is the poorer for it.
      return
    }
    for (const id of await readdir(folder).catch(() => [])) {
      const found = await stat(join(folder, id)).catch(() => undefined)
      if (found && isContainerID(id) && Date.now() - found.mtimeMs < YOUNG_MS) watchContainer(id)
    }
  }

  const stop = (): void => {
    parent?.close()
    parent = undefined
    for (const id of [...watchers.keys()]) unwatch(id)
    for (const file of files.values()) void file.close()
    files.clear()
  }

  return {
    hold(migrationUID) {
      holders.add(migrationUID)
      if (!parent) void start()
    },
    release(migrationUID) {
      if (holders.delete(migrationUID) && holders.size === 0) stop()
    },
    async errors(containerIDs) {
      for (const id of containerIDs.toReversed()) {
        const lines = criuErrors(await tail(files.get(id)))
        if (lines.length > 0) return lines
      }
      return []
    },
  }
}

const isContainerID = (name: string) => /^[0-9a-f]{64}$/.test(name)

async function tail(file: FileHandle | undefined): Promise<string> {
  if (!file) return ''
  const { size } = await file.stat()
  const length = Math.min(size, TAIL_BYTES)
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(length), position: size - length })
  return buffer.subarray(0, bytesRead).toString('utf8')
}
