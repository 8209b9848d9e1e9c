/** What a pod may weigh, as far as its spec tells. */

import { lastingContainers, type Pod } from '../../api/pod.ts'
import { parseBytes } from '../../api/quantity.ts'

/** @returns bytes of memory; what is requested is nearer to what is used than the limit, which may be many times as large */
export const weightOf = (pod: Pod | undefined): number =>
  (pod ? lastingContainers(pod) : [])
    .map(({ resources }) => parseBytes(resources?.requests?.memory ?? resources?.limits?.memory ?? '0') ?? 0)
    .reduce((sum, bytes) => sum + bytes, 0)
