/**
 * `node lab/image-archive.ts build|push IMAGE FILE`: what `make docker-build docker-push` do where there is no docker or buildah.
 * The image is the lab's `podferry:dev`, so the lab's cache must be filled.
 */
import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { RegistryTarget } from '../src/oci/http.ts'
import { pushImageArchive, writeImageArchive } from '../src/oci/image-archive.ts'
import { readIfThere } from './files.ts'
import { layerTar } from './images/layer.ts'
import { describeImage } from './images.ts'
import { LabError } from './lab-error.ts'
import { readPki } from './pki.ts'
import { REGISTRY_HOST } from './places.ts'

async function build(image: string, path: string): Promise<string> {
  const { layers, config } = await describeImage('podferry:dev')
  await mkdir(dirname(path), { recursive: true })
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch
  return await writeImageArchive({ path, name: image, layers: layers.map(layerTar), config, architecture })
}

/** `host/repository:tag`; what has no host is Docker Hub's, as everywhere. */
function placeOf(image: string): { host: string; repository: string; tag: string } {
  const parts =
    /^(?:(?<host>localhost|[^/]+[.:][^/]*)\/)?(?<repository>[a-z0-9][a-z0-9._/-]*)(?::(?<tag>[\w.-]+))?$/.exec(image)
  const { host = 'registry-1.docker.io', repository, tag = 'latest' } = parts?.groups ?? {}
  if (repository === undefined) throw new LabError(`IMG=${image} is no image: write it as registry/name:tag`)
  return { host, repository, tag }
}

async function push(image: string, path: string): Promise<string> {
  const { host, repository, tag } = placeOf(image)
  return await pushImageArchive({ path, registry: await targetOf(host), repository, tag })
}

async function targetOf(host: string): Promise<RegistryTarget> {
  if (host === REGISTRY_HOST) return { url: `https://${host}`, ca: await readPki('ca.crt') }
  const local = /^(localhost|127\.0\.0\.1)(:|$)/.test(host)
  const auth = await credentialsFor(host)
  return { url: `${local ? 'http' : 'https'}://${host}`, ...(auth === undefined ? {} : { auth }) }
}

/** What `docker login` has left for a registry, unless it gave it to a credential helper. */
async function credentialsFor(host: string): Promise<RegistryTarget['auth']> {
  const folder = process.env.DOCKER_CONFIG || join(homedir(), '.docker')
  const config = JSON.parse((await readIfThere(join(folder, 'config.json'))) ?? '{}') as {
    auths?: Record<string, { auth?: string }>
  }
  const key = host === 'registry-1.docker.io' ? 'https://index.docker.io/v1/' : host
  const [username = '', ...password] = Buffer.from(config.auths?.[key]?.auth ?? '', 'base64')
    .toString()
    .split(':')
  return username === '' ? undefined : { username, password: password.join(':') }
}

const [action, image = '', path = ''] = process.argv.slice(2)
try {
  if (action !== 'build' && action !== 'push') throw new LabError('say build or push')
  console.log(`${image} ${await (action === 'build' ? build : push)(image, path)}`)
} catch (error) {
  console.error(`image: ${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
}
