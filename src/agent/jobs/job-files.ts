/** What a job leaves beside its program: NAME.pid, NAME.exit, NAME.log in its folder. */
import { readFile } from 'node:fs/promises'
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
export async function readPid(files: JobFiles): Promise<{ pid: number; startTime: number } | undefined> {
  const [, pid, startTime] = /^(\d+) (\d+)\n$/.exec(await readOr(files.pid, '')) ?? []
  return pid === undefined ? undefined : { pid: Number(pid), startTime: Number(startTime) }
}

/** @returns undefined when no exit code was recorded (yet) */
export async function readExitCode(files: JobFiles): Promise<number | undefined> {
  const [, code] = /^(\d+)\n$/.exec(await readOr(files.exit, '')) ?? []
  return code === undefined ? undefined : Number(code)
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
