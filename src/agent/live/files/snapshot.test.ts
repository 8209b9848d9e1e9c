import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { forgetUnread, readSnapshot, writeSnapshot } from './snapshot.ts'

/** As tar 1.34 has written it. */
const WRITTEN =
  'GNU tar-1.34-2\n1795410467\x00299498189\x00' +
  '0\x001795410467\x001\x00651\x0012345678901234567890\x00.\x00Da\x00Yfile\x00Y\xc3\xbc\x00\x00\x00' +
  '0\x001795410466\x002\x00651\x0077\x00./a\x00\x00\x00'

describe('the memory of tar', () => {
  let path = ''
  before(async () => {
    path = join(await mkdtemp(join(tmpdir(), 'podferry-snapshot-')), 'snar')
  })
  after(() => rm(join(path, '..'), { recursive: true }))
  const read = async (text: string) => {
    await writeFile(path, text, 'latin1')
    return await readSnapshot(path)
  }

  it('is written as it was read', async () => {
    const snapshot = await read(WRITTEN)
    assert.ok(snapshot)
    assert.equal(snapshot.seconds, 1795410467)
    assert.deepEqual(
      snapshot.folders.map(({ name, entries }) => [name, entries]),
      [
        ['.', ['Da', 'Yfile', 'Y\xc3\xbc']],
        ['./a', []],
      ],
    )
    await writeSnapshot(path, snapshot)
    assert.equal(await readFile(path, 'latin1'), WRITTEN)
  })

  it('loses what was not read, a folder with all that it held', async () => {
    const snapshot = await read(WRITTEN)
    assert.ok(snapshot)
    const { folders } = forgetUnread(snapshot, ['./file', './a'])
    assert.deepEqual(
      folders.map(({ name, entries }) => [name, entries]),
      [['.', ['Y\xc3\xbc']]],
    )
  })

  for (const [sentence, text] of [
    ['of another format', WRITTEN.replace('-2\n', '-1\n')],
    ['that breaks off in a folder', WRITTEN.slice(0, -1)],
    ['that breaks off in a name', WRITTEN.slice(0, -5)],
    ['without a time', 'GNU tar-1.34-2\n'],
    ['of nothing', ''],
  ] as const) {
    it(`is refused when it is one ${sentence}`, async () => {
      await assert.rejects(read(text), /format 2|breaks off/)
    })
  }

  it('is nothing when there is none', async () => {
    assert.equal(await readSnapshot(`${path}-none`), undefined)
  })
})
