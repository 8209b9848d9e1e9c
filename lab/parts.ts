/** The supervised programs of a machine: etcd, kubelet and so on. */
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readIfThere, sleep } from './files.ts'
import { LabError } from './lab-error.ts'
import { execIn, initOf } from './machine.ts'
import { type MachineName, machineFolder } from './places.ts'

const partsFolder = (machine: MachineName) => join(machineFolder(machine), 'parts')

async function partNames(machine: MachineName): Promise<string[]> {
  const entries = await readdir(partsFolder(machine)).catch(() => [])
  return entries.filter((name) => name.endsWith('.sh')).map((name) => name.slice(0, -3))
}

async function requirePart(machine: MachineName, part: string): Promise<void> {
  const known = await partNames(machine)
  if (!known.includes(part)) throw new LabError(`${machine} has no part ${part}: it has ${known.join(', ') || 'none'}`)
}

/** @returns the part's process number inside the machine; undefined while it is down. */
export async function partPid(machine: MachineName, part: string): Promise<number | undefined> {
  const text = await readIfThere(join(partsFolder(machine), `${part}.pid`))
  const pid = Number(text?.trim())
  return pid > 0 ? pid : undefined
}

/** Where a part's output goes. */
export function partLog(machine: MachineName, part: string): string {
  return join(partsFolder(machine), `${part}.log`)
}

async function signal(machine: MachineName, part: string, name: string): Promise<void> {
  await requirePart(machine, part)
  const pid = await partPid(machine, part)
  if (pid === undefined) throw new LabError(`${part} on ${machine} does not run`)
  await execIn(machine, ['kill', `-${name}`, String(pid)])
}

/** `kill -9`; the supervisor starts the part again one second later. Returns once the process is gone. */
export async function killPart(machine: MachineName, part: string): Promise<void> {
  const before = await partPid(machine, part)
  await signal(machine, part, 'KILL')
  await until(async () => (await partPid(machine, part)) !== before, `${part} on ${machine} does not end`)
}

/** Makes a part read its settings anew. Returns once it runs again; one that is just being started again is waited for. */
export async function restartPart(machine: MachineName, part: string): Promise<void> {
  await requirePart(machine, part)
  const before = await partPid(machine, part)
  if (before !== undefined) await killPart(machine, part)
  await until(async () => (await partPid(machine, part)) !== undefined, `${part} on ${machine} does not start`)
}

/** Ends the part and keeps it down until `startPart`. */
export async function stopPart(machine: MachineName, part: string): Promise<void> {
  await requirePart(machine, part)
  await writeFile(join(partsFolder(machine), `${part}.stopped`), '')
  const pid = await partPid(machine, part)
  if (pid === undefined) return
  await execIn(machine, ['kill', '-KILL', String(pid)]).catch(() => {})
  await until(async () => (await partPid(machine, part)) === undefined, `${part} on ${machine} does not end`)
}

export async function startPart(machine: MachineName, part: string): Promise<void> {
  await requirePart(machine, part)
  await rm(join(partsFolder(machine), `${part}.stopped`), { force: true })
  await until(async () => (await partPid(machine, part)) !== undefined, `${part} on ${machine} does not start`)
}

/** SIGSTOP: connections stay open and nothing answers, as of an overloaded server. */
export function pausePart(machine: MachineName, part: string): Promise<void> {
  return signal(machine, part, 'STOP')
}

export function resumePart(machine: MachineName, part: string): Promise<void> {
  return signal(machine, part, 'CONT')
}

async function until(condition: () => Promise<boolean>, complaint: string): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new LabError(complaint)
    await sleep(50)
  }
}

/** One line a part for `lab status`. */
export async function partStates(machine: MachineName): Promise<{ part: string; state: string }[]> {
  const running = (await initOf(machine)) !== undefined
  const parts = await partNames(machine)
  return Promise.all(
    parts.map(async (part) => {
      const pid = running ? await partPid(machine, part) : undefined
      return { part, state: pid === undefined ? 'down' : `running (pid ${pid})` }
    }),
  )
}
