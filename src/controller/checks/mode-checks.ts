/** What each mode needs beyond what every move needs, and which of the two is taken. */
import { blocks, type Finding, isBlocking, messageOf, warns } from '../../api/finding.ts'
import type { MigrationSpec } from '../../api/migration.ts'
import { LIVE_LABEL, RUNTIME_CLASS } from '../../api/names.ts'
import { factsOf } from '../../api/node-facts.ts'
import { lastingContainers } from '../../api/pod.ts'
import { isStatefulPod, mustGoFirst } from '../owner.ts'
import { type Candidate, type Check, findingsOf } from './check.ts'
import { disk } from './fact-checks.ts'
import { bare, ownName, webhook } from './owner-checks.ts'
import { type Mode, volumeReach, volumes } from './volume-checks.ts'

const registry: Check = ({ destinationName, snapshot }) =>
  snapshot.registries.has(destinationName)
    ? undefined
    : blocks(
        'NoRegistry',
        `node ${destinationName} has no Ready podferry registry`,
        'there is nothing to receive the checkpoint image',
        'see kubectl -n podferry-system get pods -l app.kubernetes.io/component=registry -o wide',
      )

/** In mode Image: podferry's own OCI runtime restores at the destination, as the container runtime there does not. */
export const WRAPPED = 'RestoredByPodferry'

/** The destination's agent asks its runtime once more before anything is touched: its setting may have changed since. */
const restores: Check = (candidate) => {
  const { destination, destinationName } = candidate
  const image = factsOf(destination)?.image
  if (image === undefined || image.able) return undefined
  const what = `node ${destinationName} restores nothing from a checkpoint image`
  const why = image.message ?? 'its agent does not say why'
  const unfit = unfitForWrapper(candidate)
  return unfit === undefined
    ? warns(
        WRAPPED,
        what,
        why,
        "nothing is to be done: podferry's own OCI runtime (RuntimeClass podferry) restores there",
      )
    : blocks(
        'RestoreNotSupported',
        what,
        `${why}; nor does podferry's own OCI runtime: ${unfit}`,
        'mend that, or use mode Live',
      )
}

/** @returns why podferry's own OCI runtime can't restore this pod there, or undefined where it can */
function unfitForWrapper({ pod, destination, destinationName }: Candidate): string | undefined {
  const live = factsOf(destination)?.live
  if (destination?.metadata.labels?.[LIVE_LABEL] !== 'true' || !live?.able)
    return `node ${destinationName} is not able to mode Live (${live?.message ?? `no label ${LIVE_LABEL}=true`})`
  if (mustGoFirst(pod)) return 'a pod of a StatefulSet, or one with claims, is restored by the container runtime only'
  const { runtimeClassName } = pod.spec
  return isForeign(runtimeClassName) ? `the pod has a runtime class of its own, ${runtimeClassName}` : undefined
}

const isForeign = (name: string | undefined): boolean => name !== undefined && name !== RUNTIME_CLASS

const foreignClass: Check = ({ pod }) => {
  const { runtimeClassName } = pod.spec
  return !isForeign(runtimeClassName)
    ? undefined
    : warns(
        'RuntimeClassForeign',
        `spec.runtimeClassName of pod ${pod.metadata.name} is ${runtimeClassName}`,
        'only runc was tried; runtimes with a kernel of their own (gVisor, Kata) have no checkpoint',
        'recreate the pod without it if the move fails',
      )
}

const runtimeClass: Check = ({ pod }) => {
  const { runtimeClassName } = pod.spec
  return !isForeign(runtimeClassName)
    ? undefined
    : blocks(
        'LiveNotPossible',
        `spec.runtimeClassName of pod ${pod.metadata.name} is ${runtimeClassName}`,
        `mode Live needs ${RUNTIME_CLASS} at the destination`,
        'use mode Image, or recreate the pod without it',
      )
}

const liveNodes: Check = ({ source, destination }) =>
  [source, destination].flatMap((node) => {
    if (node === undefined || node.metadata.labels?.[LIVE_LABEL] === 'true') return []
    const live = factsOf(node)?.live
    const told = live?.able === false ? live.message : undefined
    return blocks(
      'LiveNotPossible',
      `node ${node.metadata.name} has no label ${LIVE_LABEL}=true`,
      told ??
        "its podferry agent's log says what mode Live lacks there (kubectl -n podferry-system get pods -l app.kubernetes.io/component=agent -o wide)",
      'mend that, or use mode Image',
    )
  })

const oneContainer: Check = ({ pod }) =>
  lastingContainers(pod).length === 1
    ? undefined
    : blocks(
        'SeveralContainers',
        `pod ${pod.metadata.name} has ${lastingContainers(pod).length} containers`,
        'the kubelet dumps one after the other, and their states would be of different moments',
        'use mode Live',
      )

const statefulWebhook: Check = (candidate) => (isStatefulPod(candidate.pod) ? webhook(candidate) : undefined)

const CHECKS: Record<Mode, readonly Check[]> = {
  Live: [ownName, volumes('Live'), volumeReach, runtimeClass, liveNodes, webhook],
  Image: [oneContainer, volumes('Image'), volumeReach, bare, registry, restores, disk, foreignClass, statefulWebhook],
}

/** What a node lacks for one of them. */
export const eitherMode: readonly Check[] = [liveNodes, registry, restores]

/** What can be said of the volumes before a destination is known: no mode that spec.mode allows moves them. */
export const anyModeMoves: Check = (candidate) => {
  const allowed = modesOf(candidate).map((mode) => findingsOf([volumes(mode)], candidate))
  return allowed.some((findings) => !findings.some(isBlocking)) ? [] : allowed[0]
}

function modesOf({ pod, snapshot }: Candidate): Mode[] {
  const { mode } = snapshot.migration.spec
  if (isStatefulPod(pod)) return ['Image']
  return mode === 'Auto' ? ['Live', 'Image'] : [mode]
}

export interface Choice {
  /** Undefined when something in `findings` blocks every mode that is allowed. */
  mode?: Mode
  /** Why Auto had to do without Live. */
  because?: string
  findings: Finding[]
}

/** @returns the mode in use, with the reason where Auto had to do without Live, or why neither is possible */
export function chooseMode(candidate: Candidate, asked: MigrationSpec['mode']): Choice {
  const of = (mode: Mode): Choice => {
    const findings = findingsOf(CHECKS[mode], candidate)
    return findings.some(isBlocking) ? { findings } : { mode, findings }
  }
  if (asked !== 'Auto') return of(asked)
  const live = of('Live')
  if (live.mode) return live
  const image = of('Image')
  const [notLive, notImage] = [live.findings.find(isBlocking), image.findings.find(isBlocking)]
  if (!notLive) return image
  if (!notImage) {
    // A way is left: what the other lacks is worth knowing, no more.
    const told = live.findings.filter(isBlocking).map((finding): Finding => ({ ...finding, severity: 'warns' }))
    return { ...image, because: messageOf(notLive), findings: [...told, ...image.findings] }
  }
  // Image is no way out for an owned pod, so what Live lacks is the one thing to say.
  if (notImage.code === 'OwnerNeedsLive') return { findings: live.findings }
  if (notLive.code === 'OwnerNeedsImage') return { findings: image.findings }
  const both = live.findings.filter((finding) => !image.findings.some((other) => other.what === finding.what))
  if (both.length === 0) return { findings: image.findings }
  const why = `${notImage.remedy}. Nor is mode Live possible: ${messageOf(notLive)}`
  return { findings: [{ ...notImage, remedy: why }, ...image.findings.filter((one) => one !== notImage), ...both] }
}
