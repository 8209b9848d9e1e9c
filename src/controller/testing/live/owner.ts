/** The ReplicaSet controller, and the webhook that takes one of its creations for the Migration. */
import { isFalse, isTrue, rollbackCause } from '../../../api/conditions.ts'
import { HASH_LABEL, KUBERNETES_DELETION_COST } from '../../../api/names.ts'
import { isPodReady, type Pod, type ReplicaSet } from '../../../api/pod.ts'
import { replacementPatch, waitingFor } from '../../admission/replacement.ts'
import type { Command } from '../../step.ts'
import { deletePod } from './api-server.ts'
import type { Moves, World } from './world.ts'

const HASH = 'abc'
const NAME = 'web-abc'
const UID = 'uid-of-web-abc'
const REFERENCE = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: NAME, uid: UID, controller: true }

/** One that moves, and one beside it that nobody touches. */
const REPLICAS = 2

/** Ready, and of the ReplicaSet. */
export const owned = (pod: Pod): Pod => ready(owning(pod), true)

const owning = (pod: Pod): Pod => ({
  ...pod,
  metadata: { ...pod.metadata, labels: { app: 'web', [HASH_LABEL]: HASH }, ownerReferences: [REFERENCE] },
})

export const aReplicaSet = (): ReplicaSet => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  metadata: { name: NAME, uid: UID, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z', generation: 1 },
  spec: { replicas: REPLICAS, selector: { matchLabels: { app: 'web', [HASH_LABEL]: HASH } } },
  status: { replicas: REPLICAS, observedGeneration: 1 },
})

/** Where a pod of the ReplicaSet is kept: the two of the Migration by their slots, ordinary ones in a list. */
type Slot = 'sourcePod' | 'destinationPod' | number

export function ownerMoves(world: World): Moves {
  return {
    replicaSet: () => sync(world, 'answered'),
    /** The claim is written, and the API server goes on without the answer. */
    replicaSetUnanswered: () => sync(world, 'unanswered'),
    probes: () => probe(world),
    webhookDown: () => {
      world.webhookUp = false
    },
    webhookUp: () => {
      world.webhookUp = true
    },
    scaleDown: () => scale(world, 1),
    scaleUp: () => scale(world, 3),
  }
}

function scale(world: World, replicas: number) {
  const { replicaSet } = world
  if (!replicaSet || replicaSet.spec.replicas === replicas) return
  const { metadata } = replicaSet
  world.scaled = true
  world.replicaSet = {
    ...replicaSet,
    metadata: { ...metadata, generation: (metadata.generation ?? 0) + 1 },
    spec: { ...replicaSet.spec, replicas },
  }
}

/** As one sync of it: adopts and releases, makes or deletes one by what it has seen before, and tells its counts. */
function sync(world: World, webhook: 'answered' | 'unanswered') {
  const { replicaSet } = world
  if (!replicaSet) return
  for (const [slot, pod] of podsOf(world)) if (isOwned(pod) !== isSelected(pod)) claimOrRelease(world, slot, pod)
  const mine = podsOf(world).filter(([, pod]) => isOwned(pod))
  const wanted = replicaSet.spec.replicas ?? 1
  const status = { replicas: mine.length, observedGeneration: replicaSet.metadata.generation ?? 0 }
  world.replicaSet = { ...replicaSet, status }
  if (mine.length < wanted) return make(world, webhook)
  if (mine.length > wanted) remove(world, mine)
}

/** None that is on its way out. */
const podsOf = (world: World): [Slot, Pod][] =>
  (
    [
      ['sourcePod', world.sourcePod],
      ['destinationPod', world.destinationPod],
      ...world.ordinary.map((pod, place) => [place, pod] as const),
    ] as const
  ).flatMap(([slot, pod]): [Slot, Pod][] => (pod && !pod.metadata.deletionTimestamp ? [[slot, pod]] : []))

const isOwned = ({ metadata }: Pod) => metadata.ownerReferences?.some(({ uid }) => uid === UID) ?? false
const isSelected = ({ metadata }: Pod) => metadata.labels?.[HASH_LABEL] === HASH

function claimOrRelease(world: World, slot: Slot, pod: Pod) {
  world.changePod(slot, { ...pod, metadata: { ...pod.metadata, ownerReferences: isOwned(pod) ? [] : [REFERENCE] } })
}

function make(world: World, webhook: 'answered' | 'unanswered') {
  const version = world.nextVersion()
  const metadata = { resourceVersion: version, creationTimestamp: world.time(), uid: `uid-${version}` }
  const ordinary = owning({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, name: `${NAME}-${version}`, namespace: 'default' },
    spec: { containers: [] },
    status: { phase: 'Pending' },
  })
  const claimed = world.webhookUp ? claim(world, metadata.uid, ordinary) : undefined
  if (claimed && webhook === 'answered') {
    // Of two pods of one name the API server takes the first.
    if (!world.destinationPod) world.destinationPod = claimed
    return
  }
  world.ordinary.push(ordinary)
}

function claim(world: World, requestUID: string, ordinary: Pod): Pod | undefined {
  const { migration, sourcePod } = world
  const [waiting] = migration ? waitingFor(UID, [migration]) : []
  const status = waiting?.status
  const present = sourcePod?.metadata.uid === status?.source?.podUID && !sourcePod?.metadata.deletionTimestamp
  if (!waiting || !sourcePod || !present || !status?.destination) return undefined
  world.replace({ ...status, destination: { ...status.destination, claim: requestUID } })
  const { labels = {}, annotations = {} } = ordinary.metadata
  const object = { metadata: { labels, annotations } }
  const creation = { uid: requestUID, operation: 'CREATE' as const, namespace: 'default', object }
  const patch = replacementPatch(waiting, sourcePod, creation)
  const value = <T>(path: string) => patch.find((operation) => operation.path === path)?.value as T
  return {
    ...ordinary,
    metadata: {
      ...ordinary.metadata,
      name: value('/metadata/name'),
      labels: value('/metadata/labels'),
      annotations: value('/metadata/annotations'),
    },
    spec: value('/spec'),
  }
}

/** As the ReplicaSet controller ranks them: Pending before Running, unready before ready, cheap before dear, young before old. */
function remove(world: World, mine: [Slot, Pod][]) {
  const rank = ([, pod]: [Slot, Pod]) => [
    pod.status?.phase === 'Running' ? 1 : 0,
    isPodReady(pod) ? 1 : 0,
    Number(pod.metadata.annotations?.[KUBERNETES_DELETION_COST] ?? 0),
    -Date.parse(pod.metadata.creationTimestamp),
  ]
  const [victim] = [...mine].sort((a, b) => {
    const [one, other] = [rank(a), rank(b)]
    const at = one.findIndex((value, place) => value !== other[place])
    return at < 0 ? 0 : (one[at] ?? 0) - (other[at] ?? 0)
  })
  if (!victim) return
  const [slot] = victim
  if (typeof slot === 'number') {
    world.ordinary.splice(slot, 1)
    return
  }
  // Scaled down it may choose whichever it likes: as with any pod.
  if (world.scaled) world.userDeletedPod = true
  else if (holdsState(world, slot) && !world.stateLost)
    throw new Error(`the owner deletes the ${slot} that has the state`)
  deletePod(world, slot, false)
}

/** Whether the program goes on there, as far as is decided. */
function holdsState({ status }: World, slot: 'sourcePod' | 'destinationPod'): boolean {
  const goesOnThere = isTrue(status, 'Restored') && !isFalse(status, 'Delivered') && !rollbackCause(status)
  return slot === 'destinationPod' ? goesOnThere : !goesOnThere
}

/** Kubelet's word of who is ready; what stands still is not. */
function probe(world: World) {
  if (!world.replicaSet) return
  const { source, destination } = world
  const runs = destination.arrivals.some(({ process }) => process === 'running' || process === 'cold')
  say(world, 'sourcePod', source.process === 'running' || source.process === 'cold')
  if (destination.node === 'up') say(world, 'destinationPod', runs)
  world.ordinary = world.ordinary.map((pod) => ready({ ...pod, status: { phase: 'Running' } }, true))
}

function say(world: World, slot: 'sourcePod' | 'destinationPod', isReady: boolean) {
  const pod = world[slot]
  if (pod && isPodReady(pod) !== isReady) world.changePod(slot, ready(pod, isReady))
}

const ready = (pod: Pod, isReady: boolean): Pod => ({
  ...pod,
  status: { ...pod.status, conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }] },
})

/** The controller's marks on the source, of exactly the version that it has seen. */
export function mark(world: World, { pod, marks }: Extract<Command, { do: 'markPod' }>) {
  const { sourcePod } = world
  if (
    sourcePod?.metadata.resourceVersion !== pod.metadata.resourceVersion ||
    sourcePod.metadata.uid !== pod.metadata.uid
  )
    return
  const { metadata } = sourcePod
  const labels = merged(metadata.labels, marks.labels)
  const annotations = merged(metadata.annotations, world.bugs.cheapSource ? {} : marks.annotations)
  world.changePod('sourcePod', { ...sourcePod, metadata: { ...metadata, labels, annotations } })
}

function merged(
  known: Record<string, string> = {},
  changes: Record<string, string | null> = {},
): Record<string, string> {
  const all = Object.entries({ ...known, ...changes })
  return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== null))
}

/** When all is over. */
export function checkOwner(world: World): void {
  const { replicaSet, sourcePod } = world
  if (!replicaSet) return
  const there = podsOf(world)
  const stray = there.find(([, pod]) => !isOwned(pod) || !isSelected(pod))
  if (stray) throw new Error(`${stray[0]} is left without its owner`)
  const wanted = replicaSet.spec.replicas ?? 1
  if (there.length !== wanted) throw new Error(`${there.length} pods instead of ${wanted}`)
  if (sourcePod?.metadata.annotations?.[KUBERNETES_DELETION_COST] !== undefined)
    throw new Error('the source keeps the deletion cost of its move')
}
