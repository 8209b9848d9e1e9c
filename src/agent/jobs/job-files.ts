/** What a job leaves beside its program: NAME.pid, NAME.exit, NAME.log in its folder. */
import { constants } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface JobFiles {
  /** What the others begin with: FOLDER/NAME. */
  stem: string
  pid: string
  exit: string
  log: string
}

/**
 * @param folder absolute on the node
 * @returns paths as this process sees them
 */
export function jobFiles(hostRoot: string, folder: string, name: string): JobFiles {
  if (!/^[a-z]([a-z-]*[a-z])?$/.test(name)) throw new Error(`${JSON.stringify(name)} is no name of a job`)
  const stem = join(hostRoot, folder, name)
  return { stem, pid: `${stem}.pid`, exit: `${stem}.exit`, log: `${stem}.log` }
}

/** @returns undefined when no job has begun */
export async function readPid(files: Pick<JobFiles, 'pid'>): Promise<{ pid: number; startTime: number } | undefined> {
  const [, pid, startTime] = /^(\d+) (\d+)\n$/.exec(await readOr(files.pid, '')) ?? []
  return pid === undefined ? undefined : { pid: Number(pid), startTime: Number(startTime) }
}

/** @returns undefined when no exit code was recorded (yet) */
export async function readExitCode(files: JobFiles): Promise<number | undefined> {
  // What follows the first line is what is left of the room that the job has taken for it.
  const [, code] = /^(\d+)\n/.exec(await readOr(files.exit, '')) ?? []
  return code === undefined ? undefined : Number(code)
}

/** For a job that was killed before it could do so itself. On a full disk too: a job has taken the room at its start. */
export async function writeExitCode(files: JobFiles, code: number): Promise<void> {
  const file = await open(files.exit, constants.O_WRONLY | constants.O_CREAT, 0o600)
  try {
    await file.write(`${code}\n`)
  } finally {
    await file.close()
  }
}

/** @returns the last characters that the job has said */
export const readLogEnd = async (files: JobFiles): Promise<string> => (await readOr(files.log, '')).slice(-500).trim()

async function readOr(path: string, fallback: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return fallback
    throw error
  }
}
