/** What about the pod's containers forbids a move or makes one risky. */
import { blocks, type Finding, warns } from '../../api/finding.ts'
import { factsOf } from '../../api/node-facts.ts'
import { type Container, lastingContainers, type Probe } from '../../api/pod.ts'
import type { Check } from './check.ts'
import { weightOf } from './weight.ts'

const each =
  (check: (container: Container, ...rest: Parameters<Check>) => Finding | readonly Finding[] | undefined): Check =>
  (candidate) =>
    lastingContainers(candidate.pod).flatMap((container) => check(container, candidate) ?? [])

const terminal = each(({ name, tty, stdin }) => {
  if (tty) {
    return blocks(
      'Terminal',
      `container ${name} has tty: true`,
      'a terminal belongs to the runtime of its node and cannot be put back under the program',
      'set tty: false; kubectl exec -it needs it not',
    )
  }
  return stdin
    ? warns(
        'StandardInput',
        `container ${name} has stdin: true`,
        'whoever is attached to it is cut off by a move',
        'attach again to the pod at the destination',
      )
    : undefined
})

/** Of the resources that kubelet itself gives out. */
const NATIVE = /^(cpu|memory|ephemeral-storage|hugepages-.+)$/

const devices = each(({ name, resources, volumeDevices }) => {
  const refuse = (what: string, remedy: string) =>
    blocks('DeviceRequested', what, 'the state of a device cannot be dumped by CRIU', remedy)
  const asked = Object.keys({ ...resources?.requests, ...resources?.limits }).filter((key) => !NATIVE.test(key))
  const claimed = (resources?.claims ?? []).map((claim) => claim.name)
  return [
    ...asked.map((key) => refuse(`container ${name} asks for ${key}`, 'leave such a pod where it is')),
    ...claimed.map((claim) => refuse(`container ${name} has resource claim ${claim}`, 'leave such a pod where it is')),
    ...(volumeDevices ?? []).map(({ devicePath }) =>
      refuse(`container ${name} has the raw block device ${devicePath}`, 'use a volume of mode Filesystem'),
    ),
  ]
})

const propagation = each(({ name, volumeMounts }) =>
  volumeMounts
    ?.filter(({ mountPropagation = 'None' }) => mountPropagation !== 'None')
    .map((mount) =>
      blocks(
        'MountPropagation',
        `container ${name} mounts volume ${mount.name} with mountPropagation ${mount.mountPropagation}`,
        'CRIU cannot dump mounts that are shared with the node',
        'use None',
      ),
    ),
)

const seccomp = each(({ name, securityContext }, { pod, source }) => {
  const type = securityContext?.seccompProfile?.type ?? pod.spec.securityContext?.seccompProfile?.type
  const confined = type !== undefined && type !== 'Unconfined' && !securityContext?.privileged
  if (confined || factsOf(source)?.ioUringDisabled === 2) return undefined
  return warns(
    'SeccompUnconfined',
    `container ${name} has ${securityContext?.privileged ? 'privileged: true' : type === undefined ? 'no seccompProfile' : `seccompProfile ${type}`}`,
    'it may use io_uring, which CRIU cannot dump: then the move is refused before anything is frozen',
    'set seccompProfile: {type: RuntimeDefault}, with which programs do without io_uring',
  )
})

/** What a move needs at least, and for each byte: dump, transfer and restore, as measured on two cores, with the source frozen. */
const STANDSTILL_S = 3
const BYTES_PER_S = 100 * 2 ** 20

/** Seconds from the freeze until kubelet has seen enough failures, at worst for the pod. */
const budgetOf = ({ periodSeconds = 10, timeoutSeconds = 1, failureThreshold = 3 }: Probe): number =>
  (failureThreshold - 1) * periodSeconds + timeoutSeconds

/** A frozen source answers no probe: kubelet would kill it, and with it what is still to be sent. A destination that waits is not probed. */
const liveness = each(({ name, livenessProbe }, { pod }) => {
  if (!livenessProbe) return undefined
  const [budget, needed] = [budgetOf(livenessProbe), STANDSTILL_S + weightOf(pod) / BYTES_PER_S]
  if (budget >= 3 * needed) return undefined
  const found = budget < needed ? blocks : warns
  const { periodSeconds = 10, timeoutSeconds = 1, failureThreshold = 3 } = livenessProbe
  return found(
    'LivenessTooShort',
    `livenessProbe of container ${name} fails after ${budget} s (periodSeconds ${periodSeconds}, failureThreshold ${failureThreshold}, timeoutSeconds ${timeoutSeconds})`,
    `the source stands still for about ${Math.ceil(needed)} s or longer, and kubelet would kill it meanwhile`,
    'raise failureThreshold',
  )
})

export const containerChecks: readonly Check[] = [terminal, devices, propagation, liveness, seccomp]
