/** `lab status`: what runs, one line a machine and part. */
import { join } from 'node:path'
import { readIfThere } from './files.ts'
import { initOf } from './machine.ts'
import { linkIsUp } from './network.ts'
import { partStates } from './parts.ts'
import { isNodeName, MACHINES, STATE } from './places.ts'

export async function status(): Promise<string> {
  const owner = await readIfThere(join(STATE, 'owner'))
  if (owner === undefined) return 'the lab is down\n'
  const lines = [`lab of ${owner.trim()}, KUBECONFIG=${join(STATE, 'kubeconfig')}`]
  for (const machine of MACHINES) {
    const init = await initOf(machine)
    const cable = init !== undefined && isNodeName(machine) && !(await linkIsUp(machine)) ? ', cable out' : ''
    lines.push(`${machine}: ${init === undefined ? 'down' : `up (process ${init.pid})`}${cable}`)
    for (const { part, state } of await partStates(machine)) lines.push(`  ${part.padEnd(20)}${state}`)
  }
  return `${lines.join('\n')}\n`
}
