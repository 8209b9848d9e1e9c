/** What each mode needs beyond what every move needs, and which of the two is taken. */
import type { MigrationSpec, MigrationStatus } from '../../api/migration.ts'
import { LIVE_LABEL, RUNTIME_CLASS } from '../../api/names.ts'
import type { Volume } from '../../api/pod.ts'
import { type Candidate, type Check, type Finding, firstFinding } from './check.ts'

type Mode = NonNullable<MigrationStatus['mode']>

const IN_BOTH = ['configMap', 'secret', 'projected', 'downwardAPI'] as const
const MOVABLE: Record<Mode, readonly (keyof Volume)[]> = { Image: IN_BOTH, Live: [...IN_BOTH, 'emptyDir'] }

const volumes =
  (mode: Mode): Check =>
  ({ pod }) => {
    const kinds = MOVABLE[mode]
    const volume = pod.spec.volumes?.find((candidate) => !kinds.some((kind) => candidate[kind] !== undefined))
    if (!volume) return undefined
    const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'unknown'
    return {
      reason: 'VolumeNotSupported',
      message: `volume ${volume.name} is of kind ${kind}, whose contents mode ${mode} does not move (it moves ${kinds.join(', ')}): remove the volume or keep the pod where it is`,
    }
  }

const registry: Check = ({ destinationName, snapshot }) =>
  snapshot.registries.has(destinationName)
    ? undefined
    : {
        reason: 'NoRegistry',
        message: `node ${destinationName} has no Ready podferry registry to receive the checkpoint image: see kubectl -n podferry-system get pods -l app.kubernetes.io/component=registry -o wide`,
      }

const runtimeClass: Check = ({ pod }) => {
  const { runtimeClassName } = pod.spec
  return runtimeClassName === undefined || runtimeClassName === RUNTIME_CLASS
    ? undefined
    : {
        reason: 'LiveNotPossible',
        message: `spec.runtimeClassName of pod ${pod.metadata.name} is ${runtimeClassName}, and mode Live needs ${RUNTIME_CLASS} at the destination: use mode Image, or recreate the pod without it`,
      }
}

const liveNodes: Check = ({ source, destination }) => {
  const unable = [source, destination].find((node) => node?.metadata.labels?.[LIVE_LABEL] !== 'true')
  return (
    unable && {
      reason: 'LiveNotPossible',
      message: `node ${unable.metadata.name} has no label ${LIVE_LABEL}=true: its podferry agent's log says what mode Live lacks there (kubectl -n podferry-system get pods -l app.kubernetes.io/component=agent -o wide); mend that, or use mode Image`,
    }
  )
}

const CHECKS: Record<Mode, readonly Check[]> = {
  Live: [volumes('Live'), runtimeClass, liveNodes],
  Image: [volumes('Image'), registry],
}

/** What can be said of the volumes before a destination is known: no mode that spec.mode allows moves them. */
export const anyModeMoves: Check = (candidate) =>
  volumes(candidate.snapshot.migration.spec.mode === 'Image' ? 'Image' : 'Live')(candidate)

export type Choice = { mode: Mode; because?: string } | { refused: Finding }

/** @returns the mode in use, with the reason where Auto had to do without Live, or why neither is possible */
export function chooseMode(candidate: Candidate, asked: MigrationSpec['mode']): Choice {
  const finding = (mode: Mode) => firstFinding(CHECKS[mode], candidate)
  if (asked !== 'Auto') {
    const refused = finding(asked)
    return refused ? { refused } : { mode: asked }
  }
  const notLive = finding('Live')
  if (!notLive) return { mode: 'Live' }
  const notImage = finding('Image')
  if (!notImage) return { mode: 'Image', because: notLive.message }
  if (notImage.message === notLive.message) return { refused: notImage }
  return { refused: { ...notImage, message: `${notImage.message}. Nor is mode Live possible: ${notLive.message}` } }
}
