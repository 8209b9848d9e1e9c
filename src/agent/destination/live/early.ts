/**
 * When the first container has failed, kubelet goes on to the next one, and waits for its start. Its state can't come before the first
 * one runs; and as long as it waits for that, kubelet does not make the first one again.
 */
import { isAlive } from './restorers.ts'
import { answer, readWaiting } from './staging.ts'

/**
 * Sends away what waits too early: kubelet makes it again later. Before the commit only, and while the first does not wait.
 *
 * @param containers of the Migration, in kubelet's order
 */
export async function sendEarlyAway(hostRoot: string, podUID: string, containers: readonly string[]): Promise<void> {
  for (const name of containers.slice(1)) {
    const waiting = await readWaiting(hostRoot, podUID, name)
    if (waiting !== undefined && (await isAlive(hostRoot, waiting))) await answer(hostRoot, podUID, name, 'early')
  }
}
