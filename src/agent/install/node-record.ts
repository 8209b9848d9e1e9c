/** What the node was like before podferry, as far as it must be put back. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { replaceFile } from '../files.ts'

const RECORD = '/var/lib/podferry/node-before.json'
const PIPE_MAX_SIZE = '/proc/sys/fs/pipe-max-size'
/** CRIU moves pages through a pipe that it makes as big as the pages at hand. */
const WANTED_BYTES = 1 << 30

const recordSchema = z.object({
  /** fs.pipe-max-size, in bytes. */
  pipeMaxBytes: z.number().int().positive().optional(),
  /** The file of the node that holds podferry's runtime handler. */
  handlerFile: z.string().startsWith('/').optional(),
})
export type NodeRecord = z.infer<typeof recordSchema>

/** @returns nothing recorded when the file is missing or damaged: then nothing can be put back */
export async function readRecord(hostRoot: string): Promise<NodeRecord> {
  const text = await readFile(join(hostRoot, RECORD), 'utf8').catch(() => '{}')
  try {
    return recordSchema.parse(JSON.parse(text))
  } catch {
    return {}
  }
}

/** Adds to the record or changes it; nothing is written when it says so already. */
export async function record(hostRoot: string, addition: NodeRecord): Promise<void> {
  const former = await readRecord(hostRoot)
  const whole = { ...former, ...addition }
  if (JSON.stringify(whole) === JSON.stringify(former)) return
  await mkdir(dirname(join(hostRoot, RECORD)), { recursive: true, mode: 0o700 })
  await replaceFile(join(hostRoot, RECORD), `${JSON.stringify(whole)}\n`, 0o600)
}

export const removeRecord = (hostRoot: string): Promise<void> => rm(join(hostRoot, RECORD), { force: true })

/** Lets one pipe hold 1 GiB, where it may not yet. Gone after a reboot, like every such setting. */
export async function raisePipeSize(hostRoot: string): Promise<void> {
  const now = Number(await readFile(join(hostRoot, PIPE_MAX_SIZE), 'utf8'))
  if (now >= WANTED_BYTES) return
  // Before the change: a crash in between must not make podferry's value the former one.
  await record(hostRoot, { pipeMaxBytes: now })
  await writeFile(join(hostRoot, PIPE_MAX_SIZE), String(WANTED_BYTES))
}

/** Puts the recorded limit back, unless somebody has set another since. */
export async function restorePipeSize(hostRoot: string): Promise<void> {
  const { pipeMaxBytes } = await readRecord(hostRoot)
  if (pipeMaxBytes === undefined) return
  const now = Number(await readFile(join(hostRoot, PIPE_MAX_SIZE), 'utf8'))
  if (now === WANTED_BYTES) await writeFile(join(hostRoot, PIPE_MAX_SIZE), String(pipeMaxBytes))
}
