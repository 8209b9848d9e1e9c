import { readFile, stat } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import { isIPv6 } from 'node:net'
import { PodferryError } from '../errors.ts'
import { type Clock, systemClock } from './clock.ts'

/** What one request needs to be let in. */
interface Credentials {
  agent: http.Agent
  headers: Record<string, string>
}

/** A way to one API server. */
export interface Connection {
  readonly server: URL
  /** The namespace that this connection's context or pod belongs to. */
  readonly namespace: string
  /** Credentials for the next request; cheap, asked before every request, so that rotated tokens and certificates take effect. */
  credentials(): Promise<Credentials>
  /** Closes idle connections. */
  close(): void
}

interface InClusterOptions {
  /** Directory of the projected service account volume. */
  directory?: string
  env?: Readonly<Record<string, string | undefined>>
  clock?: Clock
}

const serviceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount'
const rereadMs = 60_000

/**
 * The API server as a pod sees it: address from the environment, CA and token from the service account volume.
 * @throws PodferryError `NotInCluster` when the environment or a file is missing
 */
export async function inClusterConnection(options: InClusterOptions = {}): Promise<Connection> {
  const { directory = serviceAccountDirectory, env = process.env, clock = systemClock } = options
  const host = env.KUBERNETES_SERVICE_HOST
  const port = env.KUBERNETES_SERVICE_PORT
  if (!host || !port) throw notInCluster('KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set')
  const token = new RotatedFile(`${directory}/token`, clock)
  const ca = new RotatedFile(`${directory}/ca.crt`, clock)
  // In turn, so that the same lack is told in the same words.
  await token.read()
  await ca.read()
  const namespace = await readFile(`${directory}/namespace`, 'utf8').catch(() => 'default')
  const agents = new AgentCache()
  return {
    server: new URL(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`),
    namespace: namespace.trim() || 'default',
    async credentials() {
      const [bearer, authority] = await Promise.all([token.read(), ca.read()])
      return { agent: agents.https({ ca: authority }), headers: { authorization: `Bearer ${bearer.trim()}` } }
    },
    close: () => agents.close(),
  }
}

/** A fixed plain-HTTP address without credentials, such as `kubectl proxy` or the fake API server. Loopback only. */
export function plainConnection(server: string, namespace = 'default'): Connection {
  const url = new URL(server)
  if (url.protocol !== 'http:' || !['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname)) {
    throw new PodferryError({
      reason: 'InsecureServer',
      message: `server ${url.origin}: plain HTTP is allowed on the loopback only; use https`,
    })
  }
  const agent = new http.Agent({ keepAlive: true })
  return { server: url, namespace, credentials: async () => ({ agent, headers: {} }), close: () => agent.destroy() }
}

/** One keep-alive agent for as long as the TLS material stays the same, and a fresh one after it was rotated. */
export class AgentCache {
  #agent: https.Agent | undefined
  #key = ''

  https(options: https.AgentOptions): https.Agent {
    const key = JSON.stringify([options.ca, options.cert, options.key, options.servername, options.rejectUnauthorized])
    if (this.#agent === undefined || key !== this.#key) {
      // Requests under way keep their sockets; the old agent's idle ones close by their time-out on the server's side.
      this.#agent = new https.Agent({ ...options, keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets: 8 })
      this.#key = key
    }
    return this.#agent
  }

  close(): void {
    this.#agent?.destroy()
  }
}

/** A file that somebody else replaces: read again when its modification time changes and at least each minute. */
class RotatedFile {
  readonly #path: string
  readonly #clock: Clock
  #value: { text: string; modified: number; readAt: number } | undefined

  constructor(path: string, clock: Clock) {
    this.#path = path
    this.#clock = clock
  }

  /** @throws PodferryError `NotInCluster` when it was never readable; afterwards the last text is kept */
  async read(): Promise<string> {
    try {
      const modified = (await stat(this.#path)).mtimeMs
      const fresh = this.#value?.modified === modified && this.#clock.now() - this.#value.readAt < rereadMs
      if (this.#value === undefined || !fresh) {
        this.#value = { text: await readFile(this.#path, 'utf8'), modified, readAt: this.#clock.now() }
      }
    } catch (cause) {
      // kubelet swaps a symbolic link: for an instant the file may be missing, and the token we hold is still good.
      if (this.#value === undefined) throw notInCluster(`${this.#path} cannot be read`, cause)
    }
    return this.#value.text
  }
}

function notInCluster(what: string, cause?: unknown): PodferryError {
  return new PodferryError({
    reason: 'NotInCluster',
    message: `${what}: this role runs in a pod with a service account token; outside a cluster use a kubeconfig`,
    cause,
  })
}
