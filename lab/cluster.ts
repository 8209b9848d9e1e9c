/** The whole lab up and down. */
import { mkdir, rm } from 'node:fs/promises'
import { type CgroupLayout, cgroupOf, hostLayout, LAB_CGROUP, prepareNodeCgroups, removeCgroup } from './cgroups.ts'
import { clusterObjects, controlPlanePlan } from './control-plane.ts'
import { sleep, writeWhole } from './files.ts'
import { kubectl } from './kubectl.ts'
import { LabError } from './lab-error.ts'
import { awaitEnd, boot, initOf, killInit } from './machine.ts'
import { createNodeNetwork, ensureLabNetwork, removeNetwork } from './network.ts'
import { nodePlan } from './node-plan.ts'
import { restoreSupport } from './node-settings.ts'
import { requireOwnership, takeOwnership } from './owner.ts'
import { ensurePki, kubeconfigFor } from './pki.ts'
import { CONTROL_PLANE, KUBECONFIG, MACHINES, NODES, type NodeName, netnsPath, STATE } from './places.ts'
import { killHard, pidsInNetns } from './processes.ts'
import { changeSysctls, restoreSysctls } from './sysctls.ts'

/** Boots what does not run yet and waits until both nodes are Ready. The caller holds the lock; the cache is filled. */
export async function labUp(): Promise<void> {
  await mkdir(STATE, { recursive: true, mode: 0o700 })
  await takeOwnership()
  await changeSysctls()
  await ensurePki()
  await writeWhole(KUBECONFIG, await kubeconfigFor('admin'), 0o600)
  await ensureLabNetwork()
  if ((await initOf(CONTROL_PLANE)) === undefined) await boot(await controlPlanePlan())
  const layout = await hostLayout()
  await Promise.all(
    NODES.map(async (node) => {
      if ((await initOf(node)) === undefined) await bootNode(node, layout)
    }),
  )
  await waitFor('the API server', 60, () => kubectl(['get', '--raw=/readyz']))
  await kubectl(['apply', '--server-side', '-f', '-'], { input: JSON.stringify(await clusterObjects()) })
  await waitFor('the nodes', 60, () =>
    kubectl(['wait', '--for=condition=Ready', ...NODES.map((node) => `node/${node}`), '--timeout=60s']),
  )
}

/** A node's fresh boot on its disk, as after a power cut. */
export async function bootNode(node: NodeName, layout: CgroupLayout): Promise<void> {
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

/** Removes every trace of the lab. @param force also when another checkout holds it. */
export async function labDown(options: { force?: boolean } = {}): Promise<void> {
  if (options.force !== true) await requireOwnership()
  const layout = await hostLayout()
  for (const machine of MACHINES) await killInit(machine)
  for (let round = 0; ; round += 1) {
    await removeCgroup(layout, LAB_CGROUP)
    const left = (await Promise.all(MACHINES.map((machine) => pidsInNetns(netnsPath(machine))))).flat()
    if (left.length === 0) break
    if (round > 200) throw new LabError(`processes ${left.join(', ')} in the lab's network do not end`)
    for (const pid of left) if (pid !== process.pid) killHard(pid)
    await sleep(50)
  }
  for (const machine of MACHINES) await removeNetwork(machine)
  await restoreSysctls()
  await rm(STATE, { recursive: true, force: true, maxRetries: 5 })
}

async function waitFor(what: string, seconds: number, probe: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + seconds * 1000
  while (true) {
    try {
      await probe()
      return
    } catch (cause) {
      if (Date.now() > deadline)
        throw new LabError(`${what} did not get ready in ${seconds} s: ${(cause as Error).message}`, { cause })
      await sleep(150)
    }
  }
}
