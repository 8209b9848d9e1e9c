/** The four Go programs: ready built from an archive, or compiled. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type CacheEntry, cachePath, rebuild } from '../cache.ts'
import { LabError } from '../lab-error.ts'
import { CACHE } from '../places.ts'
import { run } from '../run.ts'
import { BINARIES_SHA256, CONTAINERD, KUBERNETES, RUNC } from '../versions.ts'

/** A program's entry, its version, and the files it consists of. */
export interface GoProgram {
  entry: CacheEntry
  version: string
  files: readonly string[]
}

const program = (name: string, version: string, files: readonly string[]): GoProgram => ({
  entry: { name: `bin/${name}`, stamp: `${version} ${process.arch}` },
  version,
  files,
})

export const KUBERNETES_PROGRAM = program('kubernetes', KUBERNETES, ['kube'])
export const CONTAINERD_PROGRAM = program('containerd', CONTAINERD, ['containerd', 'containerd-shim-runc-v2'])
export const RUNC_PROGRAM = program('runc', RUNC, ['runc'])
export const GO_PROGRAMS = [KUBERNETES_PROGRAM, CONTAINERD_PROGRAM, RUNC_PROGRAM] as const

/** @returns the path on the host of `kube`, `containerd`, `containerd-shim-runc-v2` or `runc`. */
export function binary(name: string): string {
  const owner = GO_PROGRAMS.find((candidate) => candidate.files.includes(name))
  if (owner === undefined) throw new LabError(`the lab has no program ${name}`)
  return join(cachePath(owner.entry), name)
}

/** @throws LabError when the archive is not the pinned one. */
async function verify(archive: string): Promise<void> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(archive)) hash.update(chunk as Buffer)
  } catch (cause) {
    throw new LabError(`PODFERRY_LAB_BINARIES=${archive} cannot be read: name an archive or unset it`, { cause })
  }
  const digest = hash.digest('hex')
  if (digest !== BINARIES_SHA256)
    throw new LabError(
      `PODFERRY_LAB_BINARIES=${archive} has SHA-256 ${digest}, but lab/versions.ts pins ${BINARIES_SHA256}: unset it to build from source`,
    )
}

/** Takes all programs from the archive, whose files are named NAME-VERSION. */
export async function seedBinaries(archive: string): Promise<void> {
  await verify(archive)
  const unpacked = await mkdtemp(join(CACHE, 'seed-'))
  try {
    await run(['tar', '-C', unpacked, '-xJf', archive])
    for (const { entry, version, files } of GO_PROGRAMS)
      await rebuild(entry, async (folder) => {
        for (const file of files) {
          await rename(join(unpacked, `${file}-${version}`), join(folder, file))
          await chmod(join(folder, file), 0o755)
        }
      })
  } finally {
    await rm(unpacked, { recursive: true, force: true })
  }
}
