/** A real CNCF distribution registry on the loopback, from the lab's Debian tree, for component tests. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../../lab/free-port.ts'
import { DEBIAN_TREE } from '../../../lab/places.ts'
import { withTreeLoader } from '../../../lab/tree-programs.ts'
import { RegistryClient } from '../registry-client.ts'

const PROGRAM = join(DEBIAN_TREE, 'usr/bin/docker-registry')

/** Why registry tests can't run, or false. */
export const registryMissing = (): string | false =>
  !existsSync(PROGRAM) && 'the lab has no Debian tree yet: bin/lab setup'

export interface TestRegistry {
  url: string
  storage: string
  /** `kill -9` and start again on the same storage. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** @param notify where the registry tells of what it gets, with the bearer token to send */
export async function startRegistry(notify?: { url: string; token: string }): Promise<TestRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'podferry-registry-'))
  const storage = join(folder, 'storage')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const config = {
    version: '0.1',
    storage: { filesystem: { rootdirectory: storage }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}` },
    ...(notify ? { notifications: { endpoints: [endpoint(notify)] } } : {}),
  }
  await writeFile(join(folder, 'registry.yml'), JSON.stringify(config))
  const [program = '', ...args] = withTreeLoader([PROGRAM, 'serve', join(folder, 'registry.yml')])
  const start = () => spawn(program, args, { stdio: 'ignore' })
  let child = start()
  await answers(url)
  const kill = async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return {
    url,
    storage,
    async restart() {
      await kill()
      child = start()
      await answers(url)
    },
    async stop() {
      await kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const endpoint = ({ url, token }: { url: string; token: string }) => ({
  name: 'events',
  url,
  headers: { Authorization: [`Bearer ${token}`] },
  timeout: '1s',
  threshold: 5,
  backoff: '300ms',
})

async function answers(url: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await new RegistryClient({ url }).ping()
    } catch (error) {
      if (tries > 100) throw error
      await sleep(50)
    }
  }
}
