/** `podferry registry-config`: what the registry of a node and the event handler beside it need to trust each other. */
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { stringify } from 'yaml'

/** Both on the node's loopback; the runtime takes a registry there without TLS. */
const REGISTRY_ADDRESS = '127.0.0.1:5577'
const EVENTS_URL = 'http://127.0.0.1:5579/events'

export const registryConfigCommand = (): Command =>
  new Command('registry-config')
    .description("write registry.yml and the event handler's token, new at each call")
    .requiredOption('--out <folder>', 'where to write')
    .option('--storage <folder>', 'where the registry keeps images', '/var/lib/podferry/registry')
    .action(writeRegistryConfig)

/** Writes `registry.yml` and `token` (both 0600) into `out` and closes `storage` to all but root: it holds memory of pods. */
export async function writeRegistryConfig({ out, storage }: { out: string; storage: string }): Promise<void> {
  const token = randomBytes(32).toString('hex')
  await mkdir(storage, { recursive: true })
  await chmod(storage, 0o700)
  await mkdir(out, { recursive: true })
  await writeSecret(join(out, 'token'), token)
  await writeSecret(join(out, 'registry.yml'), stringify(registryConfig(storage, token)))
}

/** `mode` of writeFile counts only for a new file. */
async function writeSecret(path: string, content: string): Promise<void> {
  await writeFile(path, content, { mode: 0o600 })
  await chmod(path, 0o600)
}

/** Configuration of the CNCF distribution registry, version 2 and 3 (distribution.github.io, "Configuring a registry"). */
function registryConfig(storage: string, token: string) {
  return {
    version: 0.1,
    log: { level: 'warn', accesslog: { disabled: true } },
    // No cache of blob descriptors: it would go on to promise layers that podferry has deleted from the disk.
    storage: { filesystem: { rootdirectory: storage }, delete: { enabled: true } },
    // The secret signs the state of unfinished uploads: with one of its own, a restarted registry goes on with them.
    http: { addr: REGISTRY_ADDRESS, secret: randomBytes(32).toString('hex') },
    notifications: {
      endpoints: [
        {
          name: 'podferry',
          url: EVENTS_URL,
          headers: { Authorization: [`Bearer ${token}`] },
          timeout: '1s',
          threshold: 5,
          backoff: '1s',
        },
      ],
    },
  }
}
