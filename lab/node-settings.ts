/** What a node is to be like at its next boot. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readIfThere, writeWhole } from './files.ts'
import { initOf } from './machine.ts'
import { containerdConfig } from './node-plan.ts'
import { restartPart } from './parts.ts'
import { machineFolder, type NodeName } from './places.ts'

const marker = (node: NodeName) => join(machineFolder(node), 'no-restore')

/** @returns whether the node's containerd may restore checkpoints through CreateContainer. */
export async function restoreSupport(node: NodeName): Promise<boolean> {
  return (await readIfThere(marker(node))) === undefined
}

/** Changes that for the node's later boots and, when it runs, at once, by starting containerd again. */
export async function setRestoreSupport(node: NodeName, restore: boolean): Promise<void> {
  if (restore) await rm(marker(node), { force: true })
  else await writeWhole(marker(node), '')
  const init = await initOf(node)
  if (init === undefined) return
  await writeFile(`/proc/${init.pid}/root/etc/containerd/config.toml`, containerdConfig({ restore }))
  await restartPart(node, 'containerd')
}
