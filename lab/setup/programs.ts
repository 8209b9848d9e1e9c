/** The small static C programs that the base images hold. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CacheEntry, cachePath, rebuild } from '../cache.ts'
import { run } from '../run.ts'

const SOURCES = join(import.meta.dirname, '..', 'images')
const PROGRAMS = ['pause', 'counter', 'hog', 'ledger'] as const
export type CProgram = (typeof PROGRAMS)[number]

/** The stamp carries the sources: an edited program is compiled again. */
export async function programsEntry(): Promise<CacheEntry> {
  const hash = createHash('sha256')
  for (const name of PROGRAMS) hash.update(await readFile(join(SOURCES, `${name}.c`)))
  return { name: 'programs', stamp: `${process.arch} ${hash.digest('hex')}` }
}

export async function compilePrograms(): Promise<void> {
  await rebuild(await programsEntry(), async (folder) => {
    for (const name of PROGRAMS)
      await run(['gcc', '-O2', '-Wall', '-Werror', '-static', '-o', join(folder, name), join(SOURCES, `${name}.c`)])
  })
}

export async function programPath(name: CProgram): Promise<string> {
  return join(cachePath(await programsEntry()), name)
}
