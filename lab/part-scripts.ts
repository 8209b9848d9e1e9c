/** How parts are started. */
import type { Bind } from './machine.ts'
import { binary } from './setup/binaries.ts'

/** @returns a shell line that becomes the program. */
export function exec(program: string, flags: readonly string[]): string {
  return ['exec', program, ...flags.map((flag) => `'${flag.replaceAll("'", "'\\''")}'`)].join(' ')
}

/** All of Kubernetes is one program that looks at the name it was called by. */
export function multiCallBinds(names: readonly string[]): Bind[] {
  return names.map((name) => ({ kind: 'file', from: binary('kube'), to: `usr/local/sbin/${name}` }))
}
