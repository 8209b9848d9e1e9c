/** Booting nodes and cutting their power. */
import { cgroupOf, hostLayout, prepareNodeCgroups, removeCgroup } from './cgroups.ts'
import { awaitEnd, boot, initOf, killInit } from './machine.ts'
import { createNodeNetwork, removeNetwork } from './network.ts'
import { nodePlan } from './node-plan.ts'
import { restoreSupport } from './node-settings.ts'
import type { NodeName } from './places.ts'

/** Boots a node on its disk unless it runs. What an earlier boot left in cgroups and network is removed first. */
export async function startNode(node: NodeName): Promise<void> {
  if ((await initOf(node)) !== undefined) return
  const layout = await hostLayout()
  await removeCgroup(layout, cgroupOf(node))
  await createNodeNetwork(node)
  await prepareNodeCgroups(layout, node)
  await boot(await nodePlan(node, layout, { restore: await restoreSupport(node) }))
}

/** Cuts a node's power: its processes, interfaces, mounts and control groups are gone at once, its disk stays. */
export async function stopNode(node: NodeName): Promise<void> {
  const init = await initOf(node)
  await killInit(node)
  // Frozen processes end only when thawed, and their groups must go before the next boot.
  await removeCgroup(await hostLayout(), cgroupOf(node))
  if (init !== undefined) await awaitEnd(init)
  await removeNetwork(node)
}
