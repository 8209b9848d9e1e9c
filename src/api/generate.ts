/** `npm run generate`: writes what is made from code, manifests and the CLI's reference. `generate.test.ts` fails when the committed ones differ. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { migrationCrd } from './crd.ts'
import { rbacFiles } from './rbac.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const HEADER = '# Made by `make manifests`: change the code that it is made from, not this file.\n'

// Version 1.1 quotes what older parsers, kubectl's among them, would read as booleans.
const document = (object: object) => stringify(object, { version: '1.1', lineWidth: 120, aliasDuplicateObjects: false })

/** @returns the content of each generated file, by path from the root of the repository */
export function generatedFiles(): Record<string, string> {
  const { metadata } = migrationCrd()
  const [plural = '', ...group] = metadata.name.split('.')
  const files: Record<string, object[]> = { [`config/crd/${group.join('.')}_${plural}.yaml`]: [migrationCrd()] }
  for (const [name, objects] of Object.entries(rbacFiles())) files[`config/rbac/${name}`] = objects
  return Object.fromEntries(
    Object.entries(files).map(([path, objects]) => [path, HEADER + objects.map(document).join('---\n')]),
  )
}

if (import.meta.main) {
  const { cliReference } = await import('../cli/reference.ts')
  const files = { ...generatedFiles(), 'docs/cli.md': await cliReference() }
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(ROOT, path)), { recursive: true })
    await writeFile(join(ROOT, path), content)
    console.log(path)
  }
}
