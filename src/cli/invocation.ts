/** Under which name the program was called: help and next commands must repeat it. */
import { basename } from 'node:path'

const PLUGIN = 'kubectl-podferry'

/** @param script `process.argv[1]`; kubectl starts a plugin by its file's name, and Node keeps the link's name there */
export function invocationName(script: string | undefined): string {
  return basename(script ?? '').replace(/\.(ts|js|exe)$/, '') === PLUGIN ? 'kubectl podferry' : 'podferry'
}
