/** Kernel settings of the whole machine that the lab (or a kubelet in it) changes; `down` puts the former values back. */
import { readdir, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { readIfThere, writeWhole } from './files.ts'
import { STATE } from './places.ts'

/** One for all labs of the machine, and gone after a reboot, as the changes are. */
const RECORD = '/run/podferry-lab-sysctls.json'

/** What the lab itself needs. */
const WANTED: Record<string, string> = {
  // CRIU raises its file limit to fs.nr_open, which without CAP_SYS_RESOURCE works only up to the hard limit.
  'fs/nr_open': '20000',
  // CRIU's lazy pages move memory through one pipe.
  'fs/pipe-max-size': String(1 << 30),
}

/** What every kubelet sets at its start. */
const CHANGED_BY_KUBELET = [
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
]

/** Records the former values once, before the first change: a second `up` would record the lab's own. */
export async function changeSysctls(): Promise<void> {
  if ((await readIfThere(RECORD)) === undefined) {
    const former: Record<string, string> = {}
    for (const name of [...Object.keys(WANTED), ...CHANGED_BY_KUBELET]) {
      const value = await readIfThere(join('/proc/sys', name))
      if (value !== undefined) former[name] = value.trim()
    }
    await writeWhole(RECORD, JSON.stringify(former, null, 2))
  }
  for (const [name, value] of Object.entries(WANTED)) await writeFile(join('/proc/sys', name), value)
}

/** The last lab to go down restores; until then the others need the changes. */
export async function restoreSysctls(): Promise<void> {
  const others = (await readdir(dirname(STATE))).filter(
    (name) => name.startsWith('podferry-lab') && name !== basename(STATE),
  )
  const record = await readIfThere(RECORD)
  if (record === undefined || others.length > 0) return
  for (const [name, value] of Object.entries(JSON.parse(record) as Record<string, string>))
    await writeFile(join('/proc/sys', name), value)
  await rm(RECORD)
}
