/** The three levels of tests and which files belong to each. */
import { glob } from 'node:fs/promises'
import { CONTROL_PLANE, type MachineName } from '../lab/places.ts'

export const LEVELS = ['unit', 'component', 'e2e'] as const
export type Level = (typeof LEVELS)[number]

/** They begin first, so that no lab waits for one of them in the end. */
const LONG = /(kills|older-operator|programs|bus|claims|preflight-rare)\.e2e/

/** @returns the level's files, by path from `root`, sorted; long ones first */
export async function filesOf(level: Level, root: string): Promise<string[]> {
  const files: string[] = []
  for await (const file of glob('{src,lab,bench,test}/**/*.test.ts', { cwd: root })) {
    if (levelOf(file) === level) files.push(file)
  }
  files.sort()
  return [...files.filter((file) => LONG.test(file)), ...files.filter((file) => !LONG.test(file))]
}

function levelOf(file: string): Level {
  if (file.endsWith('.component.test.ts')) return 'component'
  return file.endsWith('.e2e.test.ts') ? 'e2e' : 'unit'
}

/** Searches and copies of files need a machine, but no cluster. */
const NEEDS_NO_LAB: ((file: string) => boolean)[] = [
  (file) => levelOf(file) === 'unit',
  (file) => file.startsWith('lab/'),
  (file) => file.startsWith('src/agent/live/files/'),
  (file) => file.endsWith('.property.component.test.ts'),
]

/** @returns the machine of the lab in whose network a file's tests run; undefined: in the caller's own, beside the others */
export function networkOf(file: string): MachineName | undefined {
  // The lab's own tests boot another lab, which can't be done from within the first one's.
  if (NEEDS_NO_LAB.some((holds) => holds(file))) return undefined
  // A destination agent speaks to the registry on its node's loopback.
  return file.startsWith('src/agent/destination/') ? 'node-2' : CONTROL_PLANE
}
