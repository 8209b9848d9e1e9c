/** Whether the destination pod waits at its first container's gate and nothing else is missing, or never will. Pure. */
import { lastingStatuses, type Pod } from '../../../api/pod.ts'

export interface LiveReadiness {
  status: 'True' | 'False' | 'Unknown'
  reason: string
  message: string
}

interface ReadinessView {
  /** The container that kubelet makes first: until it runs, there is no other. */
  first: string
  /** Its wrapper waits now. */
  waits: boolean
  /** Images of the others that the node lacks, as repository@digest. */
  missingImages: readonly string[]
  /** The destination pod; undefined while it was not looked at, or is gone. */
  pod: Pod | undefined
  /** Since when each look has seen an error of this pod, in milliseconds since 1970. */
  failingSince: number | undefined
  /** Milliseconds since 1970. */
  now: number
}

/** Kubelet and runtime try again by themselves within this time. */
const FAILING_MS = 30_000

/** What of the pod cannot be made. Images that can't be pulled are the controller's to judge: it knows the credentials. */
const ERRORS: ReadonlySet<string> = new Set([
  'CreateContainerError',
  'CreateContainerConfigError',
  'RunContainerError',
  'CrashLoopBackOff',
  'CreatePodSandboxError',
])

export function judgeReadiness({ first, waits, missingImages, pod, failingSince, now }: ReadinessView): LiveReadiness {
  if (waits && missingImages.length > 0) {
    const message = `the destination node lacks ${missingImages.join(', ')}`
    return { status: 'Unknown', reason: 'ImagesMissing', message }
  }
  if (waits) {
    const message = `container ${first}: made as far as the first instruction, and waiting for the checkpoint`
    return { status: 'True', reason: 'Waiting', message }
  }
  const { phase, reason, message } = pod?.status ?? {}
  if (phase === 'Failed' || phase === 'Succeeded') {
    const why = [reason, message].filter(Boolean).join(': ') || 'kubelet gave up'
    return { status: 'False', reason: 'PodFailed', message: `the destination pod ended before it ran (${why})` }
  }
  const error = errorOf(pod)
  if (error && failingSince !== undefined && now - failingSince >= FAILING_MS) {
    return { status: 'False', reason: error.reason, message: error.message }
  }
  const words = `container ${first}: not waiting for the checkpoint yet`
  return { status: 'Unknown', reason: 'Preparing', message: error ? `${words} (${error.message})` : words }
}

/** @returns what kubelet complains of; undefined when it does not */
export function errorOf(pod: Pod | undefined): { reason: string; message: string } | undefined {
  for (const { name, state } of pod ? lastingStatuses(pod) : []) {
    const { reason = '', message = '' } = state?.waiting ?? {}
    if (ERRORS.has(reason)) return { reason, message: `container ${name}: ${reason}: ${message}` }
  }
  return undefined
}
