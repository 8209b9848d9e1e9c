/** What podferry keeps on a node so that dumps end fenced: the hook and its block in CRIU's configuration. */
import { lstat, mkdir, readFile, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PodferryError } from '../../errors.ts'
import { replaceFile } from '../files.ts'
import { HOOK_PATH, RUNC_CONF, withBlock, withoutBlock } from './runc-conf.ts'

const hookSource = new URL('../../../runtime/criu-fence', import.meta.url)

/**
 * Puts hook and block on the node; writes only what differs.
 *
 * @throws PodferryError `ForeignActionScript`, `RuncConfDamaged`, `RuncConfIsLink`
 */
export async function install(hostRoot: string): Promise<void> {
  const before = await readConf(hostRoot)
  const conf = withBlock(before)
  const hook = await readFile(hookSource, 'utf8')
  // The hook first: a configuration that names a missing script fails every dump and restore of the node.
  const hookPath = join(hostRoot, HOOK_PATH)
  const current = await lstat(hookPath).catch(() => undefined)
  const intact = current?.isFile() && current.uid === process.getuid?.() && (current.mode & 0o777) === 0o755
  if (!intact || (await readFile(hookPath, 'utf8')) !== hook) {
    await mkdir(dirname(hookPath), { recursive: true, mode: 0o755 })
    await replaceFile(hookPath, hook, 0o755)
  }
  if (conf === before) return
  await mkdir(join(hostRoot, dirname(RUNC_CONF)), { recursive: true, mode: 0o755 })
  await replaceFile(join(hostRoot, RUNC_CONF), conf, 0o644)
}

/** Takes away exactly what `install` has put there; folders go when nothing else is in them. */
export async function uninstall(hostRoot: string): Promise<void> {
  const before = await readConf(hostRoot)
  const conf = withoutBlock(before)
  if (conf === '') await rm(join(hostRoot, RUNC_CONF), { force: true })
  else if (conf !== before) await replaceFile(join(hostRoot, RUNC_CONF), conf, 0o644)
  await rm(join(hostRoot, HOOK_PATH), { force: true })
  for (const path of [RUNC_CONF, HOOK_PATH]) await rmdir(join(hostRoot, dirname(path))).catch(() => undefined)
}

async function readConf(hostRoot: string): Promise<string> {
  const path = join(hostRoot, RUNC_CONF)
  const entry = await lstat(path).catch((error) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (entry === undefined) return ''
  // A link on the node would be resolved in the agent's own root.
  if (!entry.isFile()) {
    throw new PodferryError({
      reason: 'RuncConfIsLink',
      message: `${RUNC_CONF} on the node is no regular file; put its contents there, as podferry's agent must add to it`,
      retry: 'afterChange',
    })
  }
  return await readFile(path, 'utf8')
}
