/** What a run of the end-to-end tests has seen of programs and of pods' features: docs/compatibility.md is written from it. */
import { appendFile } from 'node:fs/promises'

export interface Seen {
  kind: 'program' | 'feature'
  /** As a reader looks for it. */
  what: string
  result: 'moves' | 'refused'
  /** What was looked at, or in which words it was refused. */
  checked: string
  /** Of each move, in milliseconds. */
  downtimesMs?: number[]
}

/** Adds a line to the file that PODFERRY_COMPATIBILITY names; does nothing without it. Call it when all assertions have held. */
export async function noteSeen(seen: Seen): Promise<void> {
  const path = process.env.PODFERRY_COMPATIBILITY
  if (path) await appendFile(path, `${JSON.stringify(seen)}\n`)
}
