/** Which volumes a mode can take along, and why not. */
import { blocks, type Finding } from '../../api/finding.ts'
import type { MigrationStatus } from '../../api/migration.ts'
import type { Pod, Volume } from '../../api/pod.ts'
import type { Check } from './check.ts'

export type Mode = NonNullable<MigrationStatus['mode']>

const IN_BOTH = ['configMap', 'secret', 'projected', 'downwardAPI'] as const
const MOVABLE: Record<Mode, readonly (keyof Volume)[]> = { Image: IN_BOTH, Live: [...IN_BOTH, 'emptyDir'] }

/** What the storage says of the pod's claims, by name of the claim. */
export interface ClaimFacts {
  /** Where the bytes lie: on one node, or where others can have them; undefined: not bound, or not to be seen. */
  place: 'node' | 'elsewhere' | undefined
  accessModes: readonly string[]
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
  if (claim !== undefined) return remoteClaim(volume.name, claim, claims?.[claim]?.accessModes ?? [])
  const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'unknown'
  return blocks(
    'VolumeNotSupported',
    `volume ${volume.name} is of kind ${kind}`,
    `mode ${mode} does not move its contents (it moves ${kinds.join(', ')})`,
    mode === 'Image' && volume.emptyDir
      ? 'use mode Live, or remove the volume'
      : 'remove the volume or keep the pod where it is',
  )
}

/** The destination pod is made, with all its volumes, while the source still runs. */
function remoteClaim(name: string, claim: string, accessModes: readonly string[]): Finding {
  const isShared = accessModes.includes('ReadWriteMany')
  return blocks(
    'VolumeNotSupported',
    `volume ${name} is claim ${claim} (${accessModes.join(', ') || 'access modes unknown'})`,
    isShared
      ? 'what the program has written there may still be in the memory of the source node when it goes on at the destination'
      : 'its volume cannot be on the destination while the source pod still has it',
    isShared
      ? 'let the program keep such data behind a service, or delete the pod and make it anew on the other node'
      : 'delete the pod and make it anew on the other node: the volume follows, the memory does not',
  )
}

/** Kubelet looks whether the path is there, and of that kind, only for these. */
const PROVED = ['Directory', 'File', 'CharDevice', 'BlockDevice', 'Socket']

function hostPath(pod: Pod, name: string, { path, type = '' }: NonNullable<Volume['hostPath']>): Finding | undefined {
  const told = `volume ${name} is the node's own ${path} (hostPath)`
  const writer = pod.spec.containers.find(({ volumeMounts }) =>
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
