/** The source agent's part of preflight: right before the dump, while the pod still runs. */
import { refusalIn } from '../../api/finding.ts'
import { PodferryError } from '../../errors.ts'
import type { PodCgroup } from '../fence/pod-cgroup.ts'
import type { NodeCommands } from '../install/node-commands.ts'
import { judge } from './judge.ts'
import { viewPod } from './processes.ts'

export type Preflight = (cgroup: PodCgroup) => Promise<void>

/** @returns looks at the pod's processes and throws PodferryError with the first finding */
export function createPreflight(hostRoot: string, node: NodeCommands): Preflight {
  return async (cgroup) => {
    const refusal = refusalIn(judge(await viewPod(hostRoot, node, cgroup)))
    if (refusal) throw new PodferryError(refusal)
  }
}
