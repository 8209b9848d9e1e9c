/** The host's Java, by the files that a program without windows needs. */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { isOnPath } from '../host.ts'
import { LabError } from '../lab-error.ts'
import { attempt } from '../run.ts'

export interface JavaFiles {
  /** The folder of this Java on the host. */
  home: string
  /** Changes with the version. */
  release: string
  /** Below `home`: what needs libraries of the system. */
  programs: readonly string[]
  /** Below `home`: Java's own libraries, and what it reads. */
  files: readonly string[]
}

const PROGRAMS = ['bin/java', 'lib/server/libjvm.so']
/** They need each other, and what the two programs need. */
const LIBRARIES = ['extnet', 'java', 'jimage', 'jli', 'jsvml', 'net', 'nio', 'verify', 'zip']
const FILES = [
  ...LIBRARIES.map((name) => `lib/lib${name}.so`),
  'conf/net.properties',
  'conf/security/java.security',
  'lib/jvm.cfg',
  'lib/modules',
  'lib/security/default.policy',
  'lib/server/classes.jsa',
  'lib/tzdb.dat',
]

/** @throws LabError when the host has none */
export async function javaFiles(): Promise<JavaFiles> {
  if (!isOnPath('java')) throw new LabError('the host has no Java for this image: bin/lab setup installs one')
  const { stderr } = await attempt(['java', '-XshowSettings:properties', '-version'])
  const property = (name: string) => new RegExp(`^\\s*${name} = (.+)$`, 'm').exec(stderr)?.[1]
  const home = property('java\\.home')
  if (home === undefined) throw new LabError(`java does not tell where it is: ${stderr.slice(0, 200)}`)
  const there = async (paths: readonly string[]) => {
    // Not every version has every file.
    const found = await Promise.all(
      paths.map((path) =>
        access(join(home, path))
          .then(() => [path])
          .catch(() => []),
      ),
    )
    return found.flat()
  }
  const release = `${property('java\\.vm\\.vendor')} ${property('java\\.vm\\.version')}`
  return { home, release, programs: await there(PROGRAMS), files: await there(FILES) }
}
