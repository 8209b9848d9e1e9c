/** The webhook's life in the leader: its certificate, its server, and the configuration that leads the API server to it. */
import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { Migration } from '../../api/migration.ts'
import { WEBHOOK_CONFIGURATION } from '../../api/names.ts'
import type { KubeClient } from '../../kube/client.ts'
import { sleep, systemClock } from '../../kube/clock.ts'
import { isConflict } from '../../kube/error.ts'
import { WorkQueue } from '../../kube/queue.ts'
import { ensureAuthority } from '../certificates/authority.ts'
import type { KeyPair } from '../certificates/issue.ts'
import { SERVICE_NAMES, WEBHOOK_CONFIGURATIONS, webhooksFor } from './configuration.ts'
import { heldBy, needsReplacement } from './replacement.ts'
import { type AdmissionServer, startAdmissionServer } from './server.ts'

interface AdmissionContext {
  client: KubeClient
  log: Logger
  mayAct(): boolean
}

export interface Admission {
  /** Something about a Migration has changed. */
  wake(): void
  /** Works until the signal aborts. @param migrations all there are, as far as is known */
  run(migrations: () => readonly Migration[], signal: AbortSignal): Promise<void>
}

const CERTIFICATE_LIFE_MS = 30 * 24 * 3600_000
const RENEW_MS = 24 * 3600_000
const LOOK_MS = 60_000
const RETRY_MS = 5_000
const CONFIGURE = 'configure'

export function createAdmission({ client, log, mayAct }: AdmissionContext): Admission {
  const path = `/replacements/${randomBytes(24).toString('hex')}`
  let authority: string | undefined
  let known: () => readonly Migration[] = () => []

  const configure = async (): Promise<number | undefined> => {
    if (authority === undefined || !mayAct()) return undefined
    const owners = known()
      .filter(needsReplacement)
      .map(({ status }) => status?.source?.owner?.uid ?? '')
    const webhooks = webhooksFor({ path, authority, owners: [...new Set(owners)].sort(), held: heldBy(known()) })
    const stored = await client.get(WEBHOOK_CONFIGURATIONS, undefined, WEBHOOK_CONFIGURATION)
    if (!isDeepStrictEqual(stored.webhooks, webhooks))
      await client.replace(WEBHOOK_CONFIGURATIONS, { ...stored, webhooks })
    return LOOK_MS
  }

  const queue = new WorkQueue({
    process: configure,
    onError: (_, err, failures) =>
      isConflict(err) || log.warn({ err, failures, configuration: WEBHOOK_CONFIGURATION }, 'webhook not configured'),
    backoff: { baseMs: 100, maxMs: RETRY_MS },
  })

  const keepCertificate = async (signal: AbortSignal): Promise<void> => {
    let server: AdmissionServer | undefined
    let issued: { identity: KeyPair; by: string; at: number } | undefined
    while (!signal.aborted) {
      try {
        const { current } = await ensureAuthority(client, new Date())
        if (issued?.by !== current.cert || Date.now() - issued.at > RENEW_MS) {
          const { issueServerCertificate } = await import('../certificates/issue.ts')
          const identity = await issueServerCertificate(current, SERVICE_NAMES, CERTIFICATE_LIFE_MS, new Date())
          issued = { identity, by: current.cert, at: Date.now() }
          server?.renew(identity)
          server ??= await startAdmissionServer({ client, log, identity, path, mayAct })
          authority = current.cert
          queue.add(CONFIGURE)
        }
      } catch (error) {
        log.warn({ err: error }, 'the webhook has no certificate yet; trying again')
      }
      await sleep(systemClock, issued ? LOOK_MS : RETRY_MS, signal)
    }
    await server?.close()
  }

  return {
    wake: () => queue.add(CONFIGURE),
    async run(migrations, signal) {
      known = migrations
      await keepCertificate(signal)
      await queue.stop()
    },
  }
}
