/** A pod of ours whose images do not come. */
import type { Refusal } from '../../api/finding.ts'
import { lastingStatuses, type Pod } from '../../api/pod.ts'

/** A pull that fails for this long will not mend itself soon; the source loses nothing by an early answer. */
const PULL_PATIENCE_MS = 30_000

const PULL_ERRORS = ['ErrImagePull', 'ImagePullBackOff', 'InvalidImageName', 'ErrImageNeverPull']

/** @returns undefined while there is hope */
export function pullError(pod: Pod | undefined, now: Date): Refusal | undefined {
  const waiting = (pod ? lastingStatuses(pod) : []).find((s) => PULL_ERRORS.includes(s.state?.waiting?.reason ?? ''))
  if (!pod || !waiting || now.getTime() - Date.parse(pod.metadata.creationTimestamp) < PULL_PATIENCE_MS)
    return undefined
  return {
    reason: 'ImagePullFailed',
    message: `node ${pod.spec.nodeName} can't pull the image of container ${waiting.name}: ${waiting.state?.waiting?.message ?? waiting.state?.waiting?.reason}`,
  }
}
