/** What preflight finds, and how it is told. Pure. */

export interface Finding {
  /** One CamelCase word, stable across releases: the reason of the condition when it is the first that blocks. */
  code: string
  severity: 'blocks' | 'warns'
  /** What is so, naming the field or setting: no full stop, as it goes on with `why` and `remedy`. */
  what: string
  /** Why that stands in the way. */
  why: string
  remedy: string
}

/** Why something is not done, as a condition and status.failure tell it. */
export interface Refusal {
  /** One CamelCase word. */
  reason: string
  /** What is wrong, which field or setting it concerns, and the remedy. */
  message: string
}

export const blocks = (code: string, what: string, why: string, remedy: string): Finding => ({
  code,
  severity: 'blocks',
  ...{ what, why, remedy },
})

export const warns = (code: string, what: string, why: string, remedy: string): Finding => ({
  ...blocks(code, what, why, remedy),
  severity: 'warns',
})

export const isBlocking = ({ severity }: Finding): boolean => severity === 'blocks'

/** One sentence: what, why and the remedy. */
export const messageOf = ({ what, why, remedy }: Finding): string => `${what}: ${why}; ${remedy}`

/** @returns what a condition says of the first that blocks; undefined when nothing does */
export function refusalIn(findings: readonly Finding[]): Refusal | undefined {
  const first = findings.find(isBlocking)
  return first && { reason: first.code, message: messageOf(first) }
}
