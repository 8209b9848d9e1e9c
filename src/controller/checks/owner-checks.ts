/** What the pod's owner forbids: docs/design/0003-owners.md. */
import { blocks } from '../../api/finding.ts'
import { HASH_LABEL, JOB_LABEL } from '../../api/names.ts'
import type { Job, ReplicaSet } from '../../api/pod.ts'
import { controllerOf, goneFrom, isStatefulPod, jobGone, ownerOf } from '../owner.ts'
import type { Check } from './check.ts'

const kind: Check = ({ pod }) => {
  const controller = controllerOf(pod)
  if (!controller) return undefined
  const whose = `pod ${pod.metadata.name} belongs to ${controller.kind} ${controller.name}`
  if (controller.kind === 'DaemonSet') {
    return blocks('DaemonSetPod', whose, 'every node has its own, there is nowhere to move it', 'leave it where it is')
  }
  return ownerOf(pod)
    ? undefined
    : blocks(
        'OwnerNotSupported',
        whose,
        'its owner would replace it when it leaves',
        `this version moves bare pods, pods of a StatefulSet, a Job, and a Deployment, which carry label ${HASH_LABEL}`,
      )
}

/** The ReplicaSet has to be there to make the replacement, and to know its pods by the label that is taken away. */
const replicaSet: Check = ({ pod, snapshot: { owner } }) => {
  const wanted = ownerOf(pod)
  if (wanted?.kind !== 'ReplicaSet') return undefined
  const whose = `ReplicaSet ${wanted.name}, the owner of pod ${pod.metadata.name},`
  if (owner?.metadata.uid !== wanted.uid || owner.metadata.deletionTimestamp)
    return blocks('OwnerGone', `${whose} is gone or being deleted`, 'the pod goes with it', 'move its successor')
  return (owner as ReplicaSet).spec.selector.matchLabels?.[HASH_LABEL] === wanted.hash
    ? undefined
    : blocks(
        'OwnerNotSupported',
        `${whose} does not select by label ${HASH_LABEL}=${wanted.hash}`,
        "the pod can't be released from it",
        'let a Deployment make the ReplicaSet',
      )
}

const statefulSet: Check = ({ pod, snapshot: { owner } }) => {
  const wanted = ownerOf(pod)
  if (wanted?.kind !== 'StatefulSet') return undefined
  const gone = goneFrom(owner, wanted, pod.metadata.name)
  return gone === undefined
    ? undefined
    : blocks('OwnerGone', gone, `pod ${pod.metadata.name} goes with it`, 'move another of its pods')
}

const JOB_CONTROLLER = 'kubernetes.io/job-controller'

/** The Job has to be there to take the destination, and to know its pods by the label that is taken away. */
const job: Check = ({ pod, snapshot }) => {
  const wanted = ownerOf(pod)
  if (wanted?.kind !== 'Job') return undefined
  const gone = jobGone(snapshot.owner, wanted)
  if (gone !== undefined)
    return blocks('OwnerGone', gone, `pod ${pod.metadata.name} goes with it`, 'leave it where it is')
  const { selector, completions, managedBy = JOB_CONTROLLER } = (snapshot.owner as Job).spec
  const whose = `Job ${wanted.name}, the owner of pod ${pod.metadata.name},`
  const no = (what: string, why: string, remedy: string) => blocks('OwnerNotSupported', `${whose} ${what}`, why, remedy)
  if (selector.matchLabels?.[JOB_LABEL] !== wanted.hash) {
    const remedy = 'let Kubernetes make the selector (no spec.manualSelector)'
    return no(`does not select by label ${JOB_LABEL}=${wanted.hash}`, "the pod can't be released from it", remedy)
  }
  if (managedBy !== JOB_CONTROLLER)
    return no(
      `is managed by ${managedBy}`,
      'how it counts its pods is not known',
      'wait until the pod has done its work',
    )
  // As soon as one of its pods has succeeded and none runs, such a Job is complete; and it does not see the one that is on its way.
  return completions === undefined
    ? no('has no spec.completions', 'it would be complete when its other pods are', 'set spec.completions')
    : undefined
}

export const ownerChecks: readonly Check[] = [kind, replicaSet, statefulSet, job]

/** Two pods of one name can't be, so none can wait while the other runs. */
export const ownName: Check = ({ pod }) =>
  isStatefulPod(pod)
    ? blocks(
        'OwnerNeedsImage',
        `pod ${pod.metadata.name} belongs to StatefulSet ${ownerOf(pod)?.name}`,
        'the pod at the destination has the same name, so it can be made only when the source is gone, and that is mode Image',
        'use mode Image or Auto',
      )
    : undefined

export const webhookDead = (words: string) =>
  blocks(
    'WebhookUnreachable',
    `podferry's webhook does not answer through the API server (${words})`,
    'a pod with an owner moves by it',
    "see kubectl -n podferry-system get pods,endpoints, and whether the control plane reaches the controller's pod at port 9443",
  )

/** Before anything is touched: nobody else can make the replacement wait for the state. */
export const webhook: Check = ({ pod, snapshot }) =>
  ownerOf(pod) === undefined || snapshot.webhook === undefined || snapshot.webhook === 'alive'
    ? undefined
    : webhookDead(snapshot.webhook.dead)

/** In mode Image the destination is made after the commit, and nothing waits in the meantime. */
export const bare: Check = ({ pod }) => {
  const owner = ownerOf(pod)
  return owner && owner.kind !== 'StatefulSet'
    ? blocks(
        'OwnerNeedsLive',
        `pod ${pod.metadata.name} belongs to ${owner.kind} ${owner.name}`,
        'a pod with an owner moves in mode Live only',
        'use mode Live or Auto',
      )
    : undefined
}
