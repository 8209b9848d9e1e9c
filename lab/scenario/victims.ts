/** The processes of podferry on the nodes, to be killed with -9 by scenarios. */
import { node } from '../cluster.ts'
import { NODES, type NodeName } from '../places.ts'
import { restartSoon } from './restart.ts'

/** What the command line of each role's process contains, inside its node's process namespace. */
const COMMAND_LINES = {
  controller: 'src/main.js controller',
  agent: 'src/main.js agent',
  'event-handler': 'src/main.js event-handler',
  registry: 'docker-registry serve',
} as const
export type Victim = keyof typeof COMMAND_LINES

/** @returns process numbers as the node sees them */
export async function pidsOn(name: NodeName, victim: Victim): Promise<string[]> {
  const output = await node(name).exec(['sh', '-c', 'pgrep -f -- "$1"; true', 'sh', COMMAND_LINES[victim]])
  // pgrep sees the shell that runs it, because the pattern is among its arguments.
  const found = output.split('\n').filter(Boolean)
  const own = await Promise.all(
    found.map(async (pid) => {
      const line = await node(name).exec(['sh', '-c', 'tr "\\0" " " < "/proc/$1/cmdline" || true', 'sh', pid])
      return line.startsWith('sh ') || line === '' ? [] : [pid]
    }),
  )
  return own.flat()
}

/**
 * Sends a signal to every process of a role on a node: KILL ends it, STOP makes it deaf until CONT.
 *
 * @returns how many got it
 */
export async function signal(name: NodeName, victim: Victim, which: 'KILL' | 'STOP' | 'CONT'): Promise<number> {
  const pids = await pidsOn(name, victim)
  if (pids.length > 0) await node(name).exec(['sh', '-c', 'kill "$@" 2>/dev/null; true', 'sh', `-${which}`, ...pids])
  if (which === 'KILL') void restartSoon()
  return pids.length
}

/** Kills the role wherever it runs. */
export async function killEverywhere(victim: Victim): Promise<number> {
  const counts = await Promise.all(NODES.map((name) => signal(name, victim, 'KILL')))
  return counts.reduce((sum, count) => sum + count, 0)
}
