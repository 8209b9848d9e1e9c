/**
 * `node src/api/render.ts OVERLAY [NAME=IMAGE …]`: a kustomize overlay with other images, on standard output.
 * The tree stays as it is, unlike with `kustomize edit`.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { promisify } from 'node:util'
import { stringify } from 'yaml'

const ROOT = resolve(import.meta.dirname, '../..')
/** Kustomize wants what it builds upon by relative path, so the temporary overlay lies in the repository. */
const SCRATCH = join(ROOT, 'dist')

interface RenderOptions {
  /** Below `config/`, e.g. `default`. */
  overlay: string
  /** By the name without tag that the overlay gives the image, e.g. `podferry`. */
  images: Readonly<Record<string, string>>
  /** What runs kubectl. */
  kubectl: readonly string[]
}

/**
 * @returns the manifests as YAML
 * @throws Error with what kubectl said when the overlay cannot be built
 */
export async function renderConfig({ overlay, images, kubectl }: RenderOptions): Promise<string> {
  await mkdir(SCRATCH, { recursive: true })
  const folder = await mkdtemp(join(SCRATCH, 'render-'))
  try {
    const kustomization = {
      resources: [relative(folder, join(ROOT, 'config', overlay))],
      images: Object.entries(images).map(([name, image]) => ({ name, ...splitImage(image) })),
    }
    await writeFile(join(folder, 'kustomization.yaml'), stringify(kustomization, { version: '1.1' }))
    const [command = '', ...args] = [...kubectl, 'kustomize', folder]
    const { stdout } = await promisify(execFile)(command, args, { maxBuffer: 64 << 20 })
    return stdout
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** @throws Error when `image` is no image reference */
export function splitImage(image: string): { newName: string; newTag?: string; digest?: string } {
  const parts = /^(?<newName>[^@]+?)(?::(?<newTag>[\w][\w.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$/.exec(image)
  const { newName, newTag, digest } = parts?.groups ?? {}
  if (newName === undefined || !/^[\w][\w./:-]*$/.test(newName))
    throw new Error(`${image} is no image: write it as registry/name:tag`)
  // A digest says all; kustomize takes only one of the two.
  if (digest !== undefined) return { newName, digest }
  return { newName, newTag: newTag ?? 'latest' }
}

if (import.meta.main) {
  const [overlay = 'default', ...settings] = process.argv.slice(2)
  const images = Object.fromEntries(
    settings.map((setting): [string, string] => {
      const end = setting.indexOf('=')
      return [setting.slice(0, end), setting.slice(end + 1)]
    }),
  )
  process.stdout.write(await renderConfig({ overlay, images, kubectl: (process.env.KUBECTL ?? 'kubectl').split(' ') }))
}
