/** Unary gRPC calls over a Unix socket, with deadlines and our own errors. */
import { join } from 'node:path'
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader'
import { PodferryError } from '../../errors.ts'

interface CallOptions {
  /** Default 10 s. */
  timeoutMs?: number
  signal?: AbortSignal | undefined
}

export interface ServiceCaller {
  /** @throws PodferryError `RuntimeNotFound`, `RuntimeUnreachable` or `RuntimeRefused`, with the runtime's own words */
  call<Answer>(method: string, request: object, options?: CallOptions): Promise<Answer>
  close(): void
}

interface ServiceOptions {
  socketPath: string
  /** File in this folder. */
  protoFile: string
  /** Full name, `runtime.v1.RuntimeService`. */
  service: string
  /** Sent with each call. */
  metadata?: Readonly<Record<string, string>>
}

const defaultTimeoutMs = 10_000
// ListImages and ListContainers of a full node exceed the 4 MiB that gRPC allows by default; kubelet uses 16 MiB.
const maxMessageBytes = 16 * 1024 * 1024

/** A lazy connection: nothing is opened before the first call, and gRPC connects again by itself. */
export function openService(options: ServiceOptions): ServiceCaller {
  const methods = loadService(options.protoFile, options.service)
  const client = new Client(`unix:${options.socketPath}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': maxMessageBytes,
    // A containerd that restarts is back within a second; the default back-off would grow to two minutes.
    'grpc.max_reconnect_backoff_ms': 1_000,
    // Host names mean nothing on a Unix socket; containerd rejects the encoded path that gRPC would send.
    'grpc.default_authority': 'localhost',
  })
  const metadata = new Metadata()
  for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, value)

  return {
    call<Answer>(method: string, request: object, { timeoutMs = defaultTimeoutMs, signal }: CallOptions = {}) {
      const definition = methods[method] as MethodDefinition<object, object> | undefined
      if (definition === undefined) throw new Error(`${options.service} has no method ${method}`)
      return new Promise<Answer>((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const call = client.makeUnaryRequest(
          definition.path,
          definition.requestSerialize,
          definition.responseDeserialize,
          request,
          metadata,
          { deadline: Date.now() + timeoutMs },
          (error, answer) => {
            signal?.removeEventListener('abort', onAbort)
            if (error) reject(runtimeError(method, options.socketPath, error))
            else resolve(answer as Answer)
          },
        )
        const onAbort = () => call.cancel()
        signal?.addEventListener('abort', onAbort, { once: true })
      })
    },
    close: () => client.close(),
  }
}

function loadService(protoFile: string, service: string): ServiceDefinition {
  const definitions = loadSync(join(import.meta.dirname, protoFile), { longs: String, enums: String, defaults: true })
  return definitions[service] as ServiceDefinition
}

/** True when the runtime does not know the container or image. */
export const isRuntimeNotFound = (error: unknown): boolean =>
  error instanceof PodferryError && error.reason === 'RuntimeNotFound'

/** True when there is such an image name already. */
export const isRuntimeAlreadyExists = (error: unknown): boolean =>
  error instanceof PodferryError && error.reason === 'RuntimeAlreadyExists'

function runtimeError(method: string, socketPath: string, cause: ServiceError): PodferryError {
  const said = cause.details || cause.message
  switch (cause.code) {
    case status.NOT_FOUND:
      return new PodferryError({ reason: 'RuntimeNotFound', message: `${method}: ${said}`, cause })
    case status.ALREADY_EXISTS:
      return new PodferryError({ reason: 'RuntimeAlreadyExists', message: `${method}: ${said}`, cause })
    case status.UNAVAILABLE:
    case status.DEADLINE_EXCEEDED:
    case status.CANCELLED: {
      const message = `${method}: no answer from the container runtime at ${socketPath} (${said}); is it running, and is this its socket (--runtime-socket)?`
      return new PodferryError({ reason: 'RuntimeUnreachable', message, retry: 'backoff', cause })
    }
    case status.UNIMPLEMENTED: {
      const message = `${method}: the container runtime at ${socketPath} does not know this call; use containerd 2.2 or newer, or CRI-O 1.30 or newer`
      return new PodferryError({ reason: 'RuntimeRefused', message, cause })
    }
    default:
      return new PodferryError({ reason: 'RuntimeRefused', message: `${method}: ${said}`, retry: 'backoff', cause })
  }
}
