/** Which volumes a mode can take along, and why not. */
import { blocks, type Finding } from '../../api/finding.ts'
import type { MigrationStatus } from '../../api/migration.ts'
import { lastingContainers, type Node, type NodeSelectorTerm, type Pod, type Volume } from '../../api/pod.ts'
import { mustGoFirst } from '../owner.ts'
import type { Check } from './check.ts'

export type Mode = NonNullable<MigrationStatus['mode']>

const IN_BOTH = ['configMap', 'secret', 'projected', 'downwardAPI'] as const
const MOVABLE: Record<Mode, readonly (keyof Volume)[]> = { Image: IN_BOTH, Live: [...IN_BOTH, 'emptyDir'] }

/** What the storage says of the pod's claims, by name of the claim. */
export interface ClaimFacts {
  /** Where the bytes lie: on one node, or where others can have them; undefined: not bound, or not to be seen. */
  place: 'node' | 'elsewhere' | undefined
  accessModes: readonly string[]
  /** Labels of the nodes that can have it; any of the terms will do. Undefined: all of them can. */
  terms?: readonly NodeSelectorTerm[]
}

export const volumes =
  (mode: Mode): Check =>
  ({ pod, snapshot: { claims } }) =>
    (pod.spec.volumes ?? []).flatMap((volume) => volumeFinding(mode, pod, volume, claims) ?? [])

function volumeFinding(
  mode: Mode,
  pod: Pod,
  volume: Volume,
  claims: Readonly<Record<string, ClaimFacts>> | undefined,
): Finding | undefined {
  const kinds = MOVABLE[mode]
  if (kinds.some((kind) => volume[kind] !== undefined)) return undefined
  if (volume.hostPath) return hostPath(pod, volume.name, volume.hostPath)
  const claim = volume.persistentVolumeClaim?.claimName
  if (claim !== undefined && claims?.[claim]?.place === 'node') {
    return blocks(
      'LocalVolume',
      `volume ${volume.name} is claim ${claim}, whose bytes lie on the node's own disk`,
      'no other node can reach them',
      'use storage that several nodes can attach, or leave the pod where it is',
    )
  }
  // In mode Image the source's object is gone, and with it its mount, before the destination is made.
  if (claim !== undefined) return mode === 'Image' ? undefined : claimInLive(pod, volume.name, claim, claims?.[claim])
  const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'unknown'
  return blocks(
    'VolumeNotSupported',
    `volume ${volume.name} is of kind ${kind}`,
    `mode ${mode} does not move its contents (it moves ${kinds.join(', ')})`,
    mode === 'Image' && volume.emptyDir && !mustGoFirst(pod)
      ? 'use mode Live, or remove the volume'
      : 'remove the volume or keep the pod where it is',
  )
}

/** In mode Live the destination pod is made, with all its volumes, while the source still runs; what was written to a shared one is synced inside the freeze. */
function claimInLive(pod: Pod, name: string, claim: string, facts: ClaimFacts | undefined): Finding | undefined {
  const { place, accessModes } = facts ?? { place: undefined, accessModes: [] }
  if (isShared(accessModes) && place !== undefined) return undefined
  return blocks(
    'VolumeNotSupported',
    `volume ${name} is claim ${claim} (${accessModes.join(', ') || 'access modes unknown'})`,
    'its volume cannot be on the destination while the source pod still has it',
    remedyFor(pod),
  )
}

function remedyFor(pod: Pod): string {
  if (!mustGoFirst(pod))
    return 'delete the pod and make it anew on the other node: the volume follows, the memory does not'
  return pod.spec.volumes?.some(({ emptyDir }) => emptyDir)
    ? 'remove the emptyDirs, which mode Image does not move: in that mode the source goes first'
    : 'use mode Image or Auto: there the source goes first'
}

/** Two nodes may have it at once, and of what one has written the other may learn. */
const isShared = (accessModes: readonly string[]): boolean =>
  accessModes.includes('ReadWriteMany') ||
  (accessModes.length > 0 && accessModes.every((mode) => mode === 'ReadOnlyMany'))

/** Claims of volumes that not every node can have: zones, racks. */
export const volumeReach: Check = ({ pod, destination, destinationName, snapshot: { claims } }) =>
  (pod.spec.volumes ?? []).flatMap(({ name, persistentVolumeClaim: claim }) => {
    const terms = claim && claims?.[claim.claimName]?.terms
    if (!terms || !destination || terms.some((term) => matches(term, destination))) return []
    return blocks(
      'VolumeOutOfReach',
      `volume ${name} is claim ${claim.claimName}, whose volume node ${destinationName} can't have (nodeAffinity)`,
      'it can be mounted only on the nodes that it names',
      'choose one of those: kubectl describe pv',
    )
  })

function matches({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, { metadata }: Node): boolean {
  const holds = (value: string | undefined, operator: string, values: readonly string[]): boolean => {
    if (operator === 'In') return value !== undefined && values.includes(value)
    if (operator === 'NotIn') return value === undefined || !values.includes(value)
    if (operator === 'Exists') return value !== undefined
    // What else there is compares numbers, which no storage driver uses: not surely right, so not taken.
    return operator === 'DoesNotExist' && value === undefined
  }
  return (
    matchExpressions.every(({ key, operator, values = [] }) => holds(metadata.labels?.[key], operator, values)) &&
    matchFields.every(({ operator, values = [] }) => holds(metadata.name, operator, values))
  )
}

/** Kubelet looks whether the path is there, and of that kind, only for these. */
const PROVED = ['Directory', 'File', 'CharDevice', 'BlockDevice', 'Socket']

function hostPath(pod: Pod, name: string, { path, type = '' }: NonNullable<Volume['hostPath']>): Finding | undefined {
  const told = `volume ${name} is the node's own ${path} (hostPath)`
  const writer = lastingContainers(pod).find(({ volumeMounts }) =>
    volumeMounts?.some((mount) => mount.name === name && mount.readOnly !== true),
  )
  if (writer) {
    const why = 'what it writes there stays on the node that it leaves'
    const remedy = 'set readOnly: true on the mount, or use a volume that travels'
    return blocks('HostPathVolume', `${told}, and container ${writer.name} may write to it`, why, remedy)
  }
  if (type === 'Socket' || type.endsWith('Device')) {
    const why = 'whoever is behind it does not travel, nor does what it knows of the pod'
    return blocks('HostPathVolume', `${told}, of type ${type}`, why, 'reach it over the network, or leave the pod here')
  }
  return PROVED.includes(type)
    ? undefined
    : blocks(
        'HostPathVolume',
        `${told}, whose type is ${type === '' ? 'not set' : type}`,
        'so nobody can tell whether the destination has it before the pod stands still',
        'set hostPath.type to Directory or File: kubelet then refuses the pod where it is missing',
      )
}
