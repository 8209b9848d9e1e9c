import type https from 'node:https'
import { PodferryError } from '../errors.ts'
import { AgentCache, type Connection } from './connection.ts'

interface KubeconfigOptions {
  /** Path of a kubeconfig; without it `$KUBECONFIG`, then `~/.kube/config`. */
  kubeconfig?: string
  /** Without it the file's current context. */
  context?: string
  /** Without them the context's own cluster and user. */
  cluster?: string
  user?: string
  /** The user name to act as (kubectl's --as). */
  impersonate?: string
}

const overridden = 'podferry-chosen'

/**
 * The API server a kubeconfig names, with its client certificate, token, exec plugin, OIDC, proxy and impersonation.
 * Loads @kubernetes/client-node (0.5 s, 90 MB), therefore only the CLI calls it.
 * @throws PodferryError `InvalidKubeconfig` naming the file or context
 */
export async function kubeconfigConnection(options: KubeconfigOptions = {}): Promise<Connection> {
  const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js')
  const config = new KubeConfig()
  try {
    if (options.kubeconfig === undefined) config.loadFromDefault()
    else config.loadFromFile(options.kubeconfig)
  } catch (cause) {
    throw invalidKubeconfig(`${options.kubeconfig ?? '$KUBECONFIG or ~/.kube/config'} cannot be loaded`, cause)
  }
  // What client-node makes up when it finds no file at all.
  if (config.getCurrentCluster()?.server === 'http://localhost:8080') {
    throw invalidKubeconfig('there is none at $KUBECONFIG or ~/.kube/config')
  }
  const { context: contextName = config.getCurrentContext() } = options
  const context = config.getContextObject(contextName)
  const known = config.getContexts().map(({ name }) => name)
  if (context === null) {
    throw invalidKubeconfig(`context ${JSON.stringify(contextName ?? '')} is missing; contexts: ${known.join(', ')}`)
  }
  const chosen = { cluster: options.cluster ?? context.cluster, user: options.user ?? context.user }
  // client-node takes cluster and user from the current context only.
  config.addContext({ ...context, ...chosen, name: overridden })
  config.setCurrentContext(overridden)
  const cluster = config.getCurrentCluster()
  if (cluster === null) throw invalidKubeconfig(`cluster ${JSON.stringify(chosen.cluster ?? '')} is missing`)
  if (options.user !== undefined && config.getUser(options.user) === null) {
    throw invalidKubeconfig(`user ${JSON.stringify(options.user)} is missing`)
  }
  const agents = new AgentCache()
  return {
    server: new URL(cluster.server),
    namespace: context.namespace ?? 'default',
    async credentials() {
      const tls: https.RequestOptions = {}
      try {
        await config.applyToHTTPSOptions(tls)
      } catch (cause) {
        throw invalidKubeconfig(`user ${JSON.stringify(chosen.user)} cannot be authenticated`, cause)
      }
      // client-node's own agent knows the proxies, but keeps no connection alive.
      const special = cluster.proxyUrl !== undefined || cluster.server.startsWith('http:')
      const agent = special && typeof tls.agent === 'object' ? tls.agent : agents.https(agentOptions(tls))
      const as = options.impersonate === undefined ? {} : { 'impersonate-user': options.impersonate }
      return { agent, headers: { ...headersOf(tls), ...as } }
    },
    close: () => agents.close(),
  }
}

function agentOptions(tls: https.RequestOptions): https.AgentOptions {
  return Object.fromEntries(
    Object.entries({
      ca: tls.ca,
      cert: tls.cert,
      key: tls.key,
      pfx: tls.pfx,
      passphrase: tls.passphrase,
      servername: tls.servername,
      rejectUnauthorized: tls.rejectUnauthorized,
    }).filter(([, value]) => value !== undefined && value !== null),
  )
}

function headersOf(tls: https.RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(tls.headers ?? {})) {
    if (value !== undefined) headers[name.toLowerCase()] = String(value)
  }
  if (tls.auth) headers.authorization = `Basic ${Buffer.from(tls.auth).toString('base64')}`
  return headers
}

function invalidKubeconfig(what: string, cause?: unknown): PodferryError {
  const why = cause instanceof Error ? `: ${cause.message}` : ''
  return new PodferryError({
    reason: 'InvalidKubeconfig',
    message: `kubeconfig: ${what}${why}; check --kubeconfig and --context`,
    retry: 'afterChange',
    cause,
  })
}
