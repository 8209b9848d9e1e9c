/** The whole lab up and down. */
import { mkdir, rm } from 'node:fs/promises'
import { hostLayout, LAB_CGROUP, removeCgroup } from './cgroups.ts'
import { kubectl } from './cluster.ts'
import { clusterObjects, controlPlanePlan } from './control-plane.ts'
import { sleep, writeWhole } from './files.ts'
import { publishFromHost } from './images/publish.ts'
import { FIRST_IMAGES } from './images.ts'
import { LabError } from './lab-error.ts'
import { boot, initOf, killInit } from './machine.ts'
import { ensureLabNetwork, removeNetwork } from './network.ts'
import { currentOwner, requireOwnership, takeOwnership } from './owner.ts'
import { ensurePki, kubeconfigFor } from './pki.ts'
import { CHECKOUT, CONTROL_PLANE, KUBECONFIG, MACHINES, NODES, netnsPath, STATE } from './places.ts'
import { startNode } from './power.ts'
import { killHard, pidsInNetns } from './processes.ts'
import { changeSysctls, restoreSysctls } from './sysctls.ts'

/** Boots what does not run yet and waits until both nodes are Ready. The caller holds the lock; the cache is filled. */
export async function labUp(): Promise<void> {
  await clearDeadLab()
  await mkdir(STATE, { recursive: true, mode: 0o700 })
  await takeOwnership()
  await changeSysctls()
  await ensurePki()
  await writeWhole(KUBECONFIG, await kubeconfigFor('admin'), 0o600)
  await ensureLabNetwork()
  if ((await initOf(CONTROL_PLANE)) === undefined) await boot(await controlPlanePlan())
  await Promise.all([
    publishFromHost(FIRST_IMAGES),
    ...NODES.map(startNode),
    waitFor('the API server', 60, () => kubectl(['get', '--raw=/readyz'])),
  ])
  await kubectl(['apply', '--server-side', '-f', '-'], { input: JSON.stringify(await clusterObjects()) })
  // Without it the first pods would be refused.
  await waitFor('the default service account', 60, () => kubectl(['get', 'serviceaccount', 'default', '-o', 'name']))
  await waitFor('the nodes', 60, () =>
    kubectl(['wait', '--for=condition=Ready', ...NODES.map((node) => `node/${node}`), '--timeout=60s']),
  )
}

/** A lab of another checkout of which nothing runs any more (the machine was restarted) is in nobody's use. */
async function clearDeadLab(): Promise<void> {
  const owner = await currentOwner()
  if (owner === undefined || owner === CHECKOUT) return
  if ((await labProcesses()).length === 0) await labDown({ force: true })
}

async function labProcesses(): Promise<number[]> {
  return (await Promise.all(MACHINES.map((machine) => pidsInNetns(netnsPath(machine))))).flat()
}

/** Removes every trace of the lab. @param force also when another checkout holds it. */
export async function labDown(options: { force?: boolean } = {}): Promise<void> {
  if (options.force !== true) await requireOwnership()
  const layout = await hostLayout()
  for (const machine of MACHINES) await killInit(machine)
  for (let round = 0; ; round += 1) {
    await removeCgroup(layout, LAB_CGROUP)
    const left = await labProcesses()
    if (left.includes(process.pid)) throw new LabError("down ends all processes in the lab's network: run it outside")
    if (left.length === 0) break
    if (round > 200) throw new LabError(`processes ${left.join(', ')} in the lab's network do not end`)
    for (const pid of left) killHard(pid)
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
