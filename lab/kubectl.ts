/** kubectl of the Debian tree, run on the host in the lab's network with the lab's kubeconfig. */
import { join } from 'node:path'
import { DEBIAN_TREE, enterLab, KUBECONFIG } from './places.ts'
import { type RunOptions, run } from './run.ts'

/** The tree's C library may be newer than the host's, so its loader starts the program; files named in `args` are the host's. */
export function kubectlCommand(args: readonly string[]): string[] {
  const libraries = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu', 'lib/aarch64-linux-gnu']
  const loader = process.arch === 'arm64' ? 'lib/ld-linux-aarch64.so.1' : 'lib64/ld-linux-x86-64.so.2'
  return enterLab([
    join(DEBIAN_TREE, loader),
    '--library-path',
    libraries.map((folder) => join(DEBIAN_TREE, folder)).join(':'),
    join(DEBIAN_TREE, 'usr/bin/kubectl'),
    ...args,
  ])
}

export function kubectlEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, KUBECONFIG }
}

/** @returns standard output. @throws LabError with what kubectl said when it fails. */
export function kubectl(args: readonly string[], options: RunOptions = {}): Promise<string> {
  return run(kubectlCommand(args), { env: kubectlEnvironment(), ...options })
}
