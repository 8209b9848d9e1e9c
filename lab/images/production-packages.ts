/** Which npm packages podferry needs at run time. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CHECKOUT } from '../places.ts'
import type { Item } from './layer.ts'

interface InstalledPackages {
  packages: Record<string, { dev?: boolean; devOptional?: boolean }>
}

/** Node itself goes into the image as a program of its own. */
const NODE_PACKAGE = /^node_modules\/node-linux-/

/** @returns paths such as `node_modules/pino`, from npm's record of what it installed. */
export function productionPackages(installed: InstalledPackages): string[] {
  return Object.entries(installed.packages)
    .filter(([path, { dev, devOptional }]) => path !== '' && !dev && !devOptional && !NODE_PACKAGE.test(path))
    .map(([path]) => path)
    .sort()
}

/** npm's record, which also serves as the content key of everything it installed. */
export function installedRecord(): Promise<string> {
  return readFile(join(CHECKOUT, 'node_modules/.package-lock.json'), 'utf8')
}

export function packageItems(record: string): Item[] {
  return productionPackages(JSON.parse(record) as InstalledPackages).map((path) => ({
    kind: 'folder',
    from: join(CHECKOUT, path),
    to: `/app/${path}`,
    // Packages inside a package are listed by themselves.
    skip: ['node_modules'],
  }))
}
