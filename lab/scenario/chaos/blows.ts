/** What may hit a migration. Each blow lands at once and says how the world is put right again. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type NodePart, node, part } from '../../cluster.ts'
import type { NodeName } from '../../places.ts'
import { killEverywhere, killMatching, signal } from '../victims.ts'

/** Puts right what does not mend itself. */
type Cure = () => Promise<void>

export interface Blow {
  name: string
  /** @returns undefined when there was nothing to hit: the run proves nothing about this blow */
  land(source: NodeName, destination: NodeName): Promise<Cure | undefined>
  /** Seconds the migration may take to its end. */
  patience?: number
  /** A restart of the survivor by its own kubelet is no fault: its node was switched off. */
  restarts?: true
}

const nothing: Cure = async () => {}
const kill = async (count: Promise<number>): Promise<Cure | undefined> => ((await count) > 0 ? nothing : undefined)

const killPart = (name: NodeName, which: NodePart) => async (): Promise<Cure> => {
  await node(name).kill(which)
  return nothing
}

/** The cable of a node is out for so long, whatever happens meanwhile. */
async function cut(name: NodeName, seconds: number): Promise<Cure> {
  await node(name).cut()
  const joined = sleep(seconds * 1000).then(() => node(name).join())
  return () => joined
}

/** Fills what is left of the disk below /run, where images are staged; it is given back at the end. */
async function fillRun(name: NodeName): Promise<Cure> {
  await node(name).exec([
    'sh',
    '-c',
    'mkdir -p /run/podferry && mount -t tmpfs -o size=16k,mode=0700 chaos /run/podferry/live 2>/dev/null; true',
  ])
  return async () => {
    await node(name).exec(['sh', '-c', 'umount -l /run/podferry/live 2>/dev/null; true'])
  }
}

export const BLOWS: readonly Blow[] = [
  { name: 'source agent killed', land: (source) => kill(signal(source, 'agent', 'KILL')) },
  { name: 'destination agent killed', land: (_, destination) => kill(signal(destination, 'agent', 'KILL')) },
  { name: 'controller killed', land: () => kill(killEverywhere('controller')) },
  { name: 'criu killed at the source', land: (source) => kill(killMatching(source, 'criu')) },
  { name: 'criu killed at the destination', land: (_, destination) => kill(killMatching(destination, 'criu')) },
  { name: 'runc killed at the source', land: (source) => kill(killMatching(source, 'runc')) },
  { name: 'runc killed at the destination', land: (_, destination) => kill(killMatching(destination, 'runc')) },
  // Kubelet counts the container that waited and was killed; the program in the next one was never restarted.
  { name: 'wrapper killed', land: (_, destination) => kill(killMatching(destination, 'wrapper')), restarts: true },
  { name: 'page keeper killed at the source', land: (source) => kill(killMatching(source, 'keeper')) },
  {
    name: 'page keeper killed at the destination',
    land: (_, destination) => kill(killMatching(destination, 'keeper')),
  },
  { name: 'containerd killed at the source', land: (source) => killPart(source, 'containerd')() },
  { name: 'containerd killed at the destination', land: (_, destination) => killPart(destination, 'containerd')() },
  { name: 'kubelet killed at the source', land: (source) => killPart(source, 'kubelet')() },
  { name: 'kubelet killed at the destination', land: (_, destination) => killPart(destination, 'kubelet')() },
  { name: 'link of the destination cut for 1 s', land: (_, destination) => cut(destination, 1) },
  { name: 'link of the source cut for 30 s', land: (source) => cut(source, 30), patience: 240 },
  { name: 'link of the destination cut for 30 s', land: (_, destination) => cut(destination, 30), patience: 240 },
  {
    name: 'API server silent for 20 s',
    async land() {
      await part('apiserver').pause()
      const resumed = sleep(20_000).then(() => part('apiserver').resume())
      return () => resumed
    },
    patience: 240,
  },
  { name: 'disk full at the source', land: (source) => fillRun(source) },
]
