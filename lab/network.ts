/** The lab's network: one bridge in the control plane's namespace, one veth a node, plain routes between pod ranges. */

import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import {
  CONTROL_PLANE,
  GATEWAY,
  type MachineName,
  NETNS_FOLDER,
  NODES,
  type NodeName,
  netnsOf,
  netnsPath,
  nodeAddress,
  podRange,
} from './places.ts'
import { attempt, run } from './run.ts'

const LAB = netnsOf(CONTROL_PLANE)
const BRIDGE = 'br0'

/** Runs lines of `ip` in one namespace, stopping at the first that fails. */
async function ip(netns: string, lines: string[]): Promise<void> {
  await run(['ip', '-n', netns, '-batch', '-'], { input: `${lines.join('\n')}\n` })
}

async function hasLink(netns: string, link: string): Promise<boolean> {
  return (await attempt(['ip', '-n', netns, 'link', 'show', link])).code === 0
}

/** The control plane's namespace with its bridge. Each line can be repeated: a killed `up` may have done some of them. */
export async function ensureLabNetwork(): Promise<void> {
  await mkdir(NETNS_FOLDER, { recursive: true })
  if (!existsSync(netnsPath(CONTROL_PLANE))) await run(['ip', 'netns', 'add', LAB])
  if (!(await hasLink(LAB, BRIDGE))) await ip(LAB, [`link add ${BRIDGE} type bridge`])
  await ip(LAB, [
    'link set lo up',
    `addr replace ${GATEWAY}/24 dev ${BRIDGE}`,
    `link set ${BRIDGE} up`,
    ...NODES.map((node) => `route replace ${podRange(node)} via ${nodeAddress(node)} dev ${BRIDGE}`),
  ])
}

/** A fresh namespace for a node that boots: nothing of an earlier boot's interfaces, routes and rules is in it. */
export async function createNodeNetwork(node: NodeName): Promise<void> {
  await removeNetwork(node)
  const netns = netnsOf(node)
  await run(['ip', 'netns', 'add', netns])
  // The veth of a node that just died goes with its namespace, a moment later: take it away for certain.
  await attempt(['ip', '-n', LAB, 'link', 'del', node])
  await ip(LAB, [`link add ${node} type veth peer name eth0 netns ${netns}`, `link set ${node} master ${BRIDGE} up`])
  await ip(netns, [
    'link set lo up',
    `addr add ${nodeAddress(node)}/24 dev eth0`,
    'link set eth0 up',
    `route add default via ${GATEWAY}`,
    ...NODES.filter((other) => other !== node).map((other) => `route add ${podRange(other)} via ${nodeAddress(other)}`),
  ])
}

/** Removes a machine's namespace; one that is not there, or only as a file that was never mounted, is fine. */
export async function removeNetwork(machine: MachineName): Promise<void> {
  if (!existsSync(netnsPath(machine))) return
  await attempt(['ip', 'netns', 'del', netnsOf(machine)])
  await rm(netnsPath(machine), { force: true })
}

/** Takes the node's cable out or puts it back in. */
export async function setLink(node: NodeName, state: 'up' | 'down'): Promise<void> {
  await ip(LAB, [`link set ${node} ${state}`])
}

/** @returns whether the node's cable is in. */
export async function linkIsUp(node: NodeName): Promise<boolean> {
  const shown = await attempt(['ip', '-n', LAB, '-o', 'link', 'show', node, 'up'])
  return shown.code === 0 && shown.stdout.trim() !== ''
}

/** @param rate as `tc` reads it (`100mbit`), in each direction; undefined takes the limit away. */
export async function setRate(node: NodeName, rate: string | undefined): Promise<void> {
  for (const [netns, device] of [
    [LAB, node],
    [netnsOf(node), 'eth0'],
  ] as const) {
    if (rate === undefined) await attempt(['tc', '-n', netns, 'qdisc', 'del', 'dev', device, 'root'])
    else
      await run(
        ['tc', '-n', netns, 'qdisc', 'replace', 'dev', device, 'root', 'tbf'].concat([
          'rate',
          rate,
          'burst',
          '256kb',
          'latency',
          '50ms',
        ]),
      )
  }
}
