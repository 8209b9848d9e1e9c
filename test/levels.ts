/** The three levels of tests and which files belong to each. */
import { glob } from 'node:fs/promises'

export const LEVELS = ['unit', 'component', 'e2e'] as const
export type Level = (typeof LEVELS)[number]

/** @returns the level's files, by path from `root`, sorted */
export async function filesOf(level: Level, root: string): Promise<string[]> {
  const files: string[] = []
  for await (const file of glob('{src,lab,bench,test}/**/*.test.ts', { cwd: root })) {
    if (levelOf(file) === level) files.push(file)
  }
  return files.sort()
}

function levelOf(file: string): Level {
  if (file.endsWith('.component.test.ts')) return 'component'
  return file.endsWith('.e2e.test.ts') ? 'e2e' : 'unit'
}

/** The lab's own tests boot another lab: they must not run within the first one's network. */
export const startsOwnLab = (file: string): boolean => file.startsWith('lab/')
