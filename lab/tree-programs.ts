/** Dynamic programs outside their tree: started by the Debian tree's own loader with the tree's libraries. */
import { join } from 'node:path'
import { DEBIAN_TREE } from './places.ts'

const ARM = process.arch === 'arm64'

/** Where a dynamic program expects its loader. */
export const LOADER_PATH = ARM ? '/lib/ld-linux-aarch64.so.1' : '/lib64/ld-linux-x86-64.so.2'
/** Where the loader finds libraries without being told. */
export const LIBRARY_FOLDER = ARM ? '/usr/lib/aarch64-linux-gnu' : '/usr/lib/x86_64-linux-gnu'

/** @returns the words that run `argv[0]`, a host path, whatever C library the host has. */
export function withTreeLoader(argv: readonly string[], tree: string = DEBIAN_TREE): string[] {
  const libraries = join(tree, LIBRARY_FOLDER)
  return [join(tree, LOADER_PATH), '--inhibit-cache', '--library-path', libraries, ...argv]
}
