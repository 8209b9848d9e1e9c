import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Pod } from '../../../api/pod.ts'
import { missingHostPath } from './host-paths.ts'

const aPod = (path: string, type: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', uid: 'u', resourceVersion: '1', creationTimestamp: '' },
  spec: { containers: [], volumes: [{ name: 'v', hostPath: { path, type } }] },
})

describe('missingHostPath', () => {
  let hostRoot = ''
  before(async () => {
    hostRoot = await mkdtemp(join(tmpdir(), 'podferry-host-paths-'))
    await mkdir(join(hostRoot, 'proc/1'), { recursive: true })
    // As in proc: a link to the node's root.
    await mkdir(join(hostRoot, 'node/there'), { recursive: true })
    await symlink(join(hostRoot, 'node'), join(hostRoot, 'proc/1/root'))
    await writeFile(join(hostRoot, 'node/there/file'), '')
    await symlink('/elsewhere', join(hostRoot, 'node/away'))
  })
  after(() => rm(hostRoot, { recursive: true }))

  const cases: [sentence: string, path: string, type: string, isMissing: boolean][] = [
    ['a folder that is there', '/there/', 'Directory', false],
    ['a file that is there', '/there/file', 'File', false],
    ['a folder that is not there', '/there/not', 'Directory', true],
    ['a file in the place of a folder', '/there/file', 'Directory', true],
    ['a folder in the place of a file', '/there', 'File', true],
    ['what lies below a file', '/there/file/below', 'File', true],
    ['what lies behind a link is left to kubelet', '/away/somewhere', 'Directory', false],
    ['what kubelet makes itself', '/made', 'DirectoryOrCreate', false],
  ]
  for (const [sentence, path, type, isMissing] of cases) {
    it(sentence, async () => {
      const found = await missingHostPath(hostRoot, aPod(path, type), 'node-2')
      assert.equal(found?.reason, isMissing ? 'HostPathMissing' : undefined)
      if (isMissing) assert.match(found?.message ?? '', /volume v .*node-2.*another destination/)
    })
  }
})
