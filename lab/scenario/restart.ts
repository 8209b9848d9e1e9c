/** Containers that were killed come back as after a first crash, however often a scenario kills them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { kubectl } from '../cluster.ts'

const NAMESPACE = 'podferry-system'
/** Longer than the lab's kubelets hold a killed container back (1 s), and than they need to notice its death. */
const HELD_BACK_MS = 1500

/**
 * A kubelet that looks at a killed container while it is still held back looks again 10 to 15 s later only. A changed pod it looks at
 * at once. To be called after a kill, without waiting; an API server that is away costs those seconds.
 */
export async function restartSoon(): Promise<void> {
  await sleep(HELD_BACK_MS, undefined, { ref: false })
  const mark = `lab.podferry.dev/looked-at=${Date.now()}`
  await kubectl(['-n', NAMESPACE, 'annotate', 'pods', '--all', '--overwrite', mark]).catch(() => {})
}
