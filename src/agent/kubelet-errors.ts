/** What the kubelet's checkpoint endpoint answers, as reasons with remedies. Pure; texts from runtime-contracts 1.2. */
import { PodferryError } from '../errors.ts'

interface KubeletAnswer {
  status: number
  body: string
}

type Row = readonly [matches: (answer: KubeletAnswer) => boolean, reason: string, remedy: string]

const status =
  (code: number, text?: RegExp) =>
  (answer: KubeletAnswer): boolean =>
    answer.status === code && (text === undefined || text.test(answer.body))

/** Ordered: special texts before the general ones of the same code. */
const TABLE: readonly Row[] = [
  [
    status(401),
    'KubeletUnauthorized',
    "the kubelet does not know the agent: it needs authentication.webhook.enabled for service account tokens, or mount the secret kubelet-client-certs with a client.crt of the kubelet's client CA",
  ],
  [
    status(403),
    'KubeletForbidden',
    "the agent's account may not checkpoint: grant it the verb create on nodes/checkpoint (config/rbac) and use authorization.mode Webhook in the kubelet",
  ],
  [
    status(500, /^Authorization error/),
    'KubeletAuthorizationFailed',
    'the kubelet could not ask the API server for authorization; it is tried again',
  ],
  [
    status(404, /pod does not exist/),
    'PodNotOnNode',
    'the kubelet does not know the pod; it has been deleted or moved',
  ],
  [status(404, /container .* does not exist/), 'ContainerNotFound', 'the pod has no container of that name'],
  [
    status(404),
    'CheckpointApiMissing',
    'the kubelet has no checkpoint endpoint: it needs Kubernetes 1.30 or newer, or feature gate ContainerCheckpoint=true, and enableDebuggingHandlers must not be false',
  ],
  [
    status(500, /\(container .* not found\)/),
    'ContainerNotRunning',
    'the runtime has no running container of that name; wait until the container runs',
  ],
  [
    status(500, /code = Unimplemented|not implemented\)/),
    'RuntimeCannotCheckpoint',
    'the container runtime cannot checkpoint: install containerd 2.1 or newer, or CRI-O 1.25 or newer',
  ],
  [
    status(500, /checkpoint\/restore support not available|criu support is disabled by configuration/),
    'CriuDisabled',
    'the container runtime has CRIU switched off: set enable_criu (containerd) or enable_criu_support (CRI-O) to true',
  ],
  [
    status(500, /CRIU binary not found|criu binary not found|requires at least CRIU/),
    'CriuMissing',
    'CRIU is not on the node or too old: install CRIU 4.2 or newer in the PATH of the container runtime',
  ],
  [
    status(500, /only CONTAINER_RUNNING containers|is not running|container not running/),
    'ContainerNotRunning',
    'the container is not running or is paused; wait until it runs',
  ],
  [
    status(500, /no space left on device/i),
    'DiskFull',
    'the disk of the node became full while the checkpoint was written; free space',
  ],
  [
    status(500, /code = DeadlineExceeded/),
    'CheckpointTimedOut',
    'the checkpoint took longer than spec.timeoutSeconds; raise it',
  ],
  [
    status(500, /criu failed/),
    'CriuFailed',
    "CRIU could not dump the program; see CRIU's own lines in status.failure.criuLog",
  ],
]

const BODY_LIMIT = 1_000

/** @returns the error for an answer that is not 200; its message names the request, the kubelet's words and the remedy */
export function kubeletError(request: string, answer: KubeletAnswer): PodferryError {
  const row = TABLE.find(([matches]) => matches(answer))
  const said = answer.body.trim().slice(0, BODY_LIMIT) || `HTTP ${answer.status}`
  return new PodferryError({
    reason: row?.[1] ?? 'CheckpointFailed',
    message: `kubelet: ${request}: ${said}; ${row?.[2] ?? "see the kubelet's and the container runtime's log on the node"}`,
  })
}
