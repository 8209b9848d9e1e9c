/** What has grown between two looks at the nodes. Pure. */
import type { Inventory } from '../../lab/scenario/inventory.ts'

/** Memory of Node comes and goes with its garbage collection. */
const MEGABYTES = 15

/** @returns one sentence for each thing there is more of */
export function growth(before: Inventory, now: Inventory): string[] {
  const found: string[] = []
  for (const [node, counts] of Object.entries(now.counts)) {
    for (const [what, count] of Object.entries(counts)) {
      const former = before.counts[node as keyof Inventory['counts']]?.[what] ?? 0
      // A count that is no number is a look that failed.
      if (!(count <= former)) found.push(`${node}: ${what}: ${former} became ${count}`)
    }
  }
  for (const [role, megabytes] of Object.entries(now.megabytes)) {
    const former = before.megabytes[role] ?? 0
    if (!(megabytes <= former + MEGABYTES)) found.push(`${role}: ${former} MB became ${megabytes} MB`)
  }
  return found
}
