/** The wrapper on the node, and beside it the link by which it finds the node's own runc. */
import { lstat, mkdir, readdir, readFile, readlink, rename, rm, rmdir, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { replaceFile } from '../files.ts'

const FOLDER = '/opt/podferry/bin'
/** What shims call for containers of RuntimeClass podferry, for as long as these live. */
export const WRAPPER = `${FOLDER}/podferry-runc`
/** runtime/podferry-runc has the same. */
const REAL_RUNC = `${FOLDER}/runc`
const wrapperSource = new URL('../../../runtime/podferry-runc', import.meta.url)

/**
 * Puts both on the node; writes only what differs.
 *
 * @param runc the node's OCI runtime, an absolute path there
 */
export async function placePrograms(hostRoot: string, runc: string): Promise<void> {
  await mkdir(join(hostRoot, FOLDER), { recursive: true, mode: 0o755 })
  // The link first: a wrapper without runc can't even remove a container.
  const link = join(hostRoot, REAL_RUNC)
  if ((await readlink(link).catch(() => undefined)) !== runc) {
    await rm(`${link}.new`, { force: true })
    await symlink(runc, `${link}.new`)
    await rename(`${link}.new`, link)
  }
  const path = join(hostRoot, WRAPPER)
  const text = await readFile(wrapperSource, 'utf8')
  const current = await lstat(path).catch(() => undefined)
  const intact = current?.isFile() && current.uid === process.getuid?.() && (current.mode & 0o777) === 0o755
  if (!intact || (await readFile(path, 'utf8')) !== text) await replaceFile(path, text, 0o755)
}

export async function removePrograms(hostRoot: string): Promise<void> {
  for (const path of [WRAPPER, REAL_RUNC]) await rm(join(hostRoot, path), { force: true })
  for (const folder of [FOLDER, dirname(FOLDER)]) await rmdir(join(hostRoot, folder)).catch(() => undefined)
}

/**
 * @param stateFolder containerd's, on the node
 * @returns IDs of the containers and sandboxes whose shim calls the wrapper: without it they could not even be removed
 */
export async function containersOfWrapper(hostRoot: string, stateFolder: string): Promise<string[]> {
  const tasks = join(hostRoot, stateFolder, 'io.containerd.runtime.v2.task/k8s.io')
  const ids = await readdir(tasks).catch((error) => {
    if (error.code !== 'ENOENT') throw error
    return []
  })
  const found = await Promise.all(
    // The shim writes its runtime's name there and reads it back for each call.
    ids.map(async (id) => (await readFile(join(tasks, id, 'runtime'), 'utf8').catch(() => '')) === WRAPPER),
  )
  return ids.filter((_, index) => found[index])
}
