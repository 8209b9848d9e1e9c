/** What has grown between two looks at the nodes, and what of it is explained. Pure. */
import type { Inventory } from '../../lab/scenario/inventory.ts'

/** What a pod that has been moved has more than one that has not, once and for all, wherever it is. */
const EXPLAINED: Record<string, { more: number; why: string }> = {
  'files of podferry, /run': { more: 2, why: 'it has arrived: one mark for the pod, one for its container' },
}

/** Memory of Node comes and goes with its garbage collection. */
const MEGABYTES = 15

/** @returns one sentence for each thing there is more of than explained */
export function growth(before: Inventory, now: Inventory, { isFirst }: { isFirst: boolean }): string[] {
  const found: string[] = []
  for (const [node, counts] of Object.entries(now.counts)) {
    for (const [what, count] of Object.entries(counts)) {
      const former = before.counts[node as keyof Inventory['counts']]?.[what] ?? 0
      const explained = isFirst ? (EXPLAINED[what]?.more ?? 0) : 0
      // A count that is no number is a look that failed.
      if (!(count <= former + explained)) found.push(`${node}: ${what}: ${former} became ${count}`)
    }
  }
  for (const [role, megabytes] of Object.entries(now.megabytes)) {
    const former = before.megabytes[role] ?? 0
    if (!(megabytes <= former + MEGABYTES)) found.push(`${role}: ${former} MB became ${megabytes} MB`)
  }
  return found
}
