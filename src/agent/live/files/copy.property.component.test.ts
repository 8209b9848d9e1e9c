/** Whatever a pod does before, during and after the first copy: in the end the folders are the same. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { type Change, changes, make } from './testing/changes.ts'
import { breakOff, copy } from './testing/copy.ts'
import { CANNOT, DISK, startFiles, threeFolders } from './testing/files.ts'

/** Older than level 0's beginning: without it level 1 would take everything and prove nothing. */
const AGE_MS = 2_100

type Folders = Awaited<ReturnType<typeof threeFolders>>

interface History {
  before: Change[]
  /** Bytes after which a first try breaks off. */
  broken: number | undefined
  between: Change[]
  during: Change[]
  after: Change[]
}

const history: fc.Arbitrary<History> = fc.record({
  before: changes(60),
  broken: fc.option(fc.nat(20_000), { nil: undefined }),
  between: changes(4),
  during: changes(24),
  after: changes(28),
})

describe('files', { skip: CANNOT }, () => {
  const files = CANNOT ? undefined : startFiles()

  it('are the same in the end, and after a second delivery', async () => {
    assert.ok(files)
    const makeAll = async (folder: string, wanted: Change[]) => {
      let made = 0
      for (const change of wanted) made += Number(await make(files, folder, change))
      return made
    }
    const live = async ({ broken, between, during, after }: History, folders: Folders) => {
      if (broken !== undefined) await breakOff(folders, broken)
      let made = await makeAll(folders.from, between)
      const running = makeAll(folders.from, during)
      await firstCopy(folders)
      made += await running
      made += await makeAll(folders.from, after)
      for (let delivery = 1; delivery <= 2; delivery++) {
        await copy(1, folders)
        const there = withoutFolderNotes(await files.list(folders.to))
        assert.deepEqual(there, withoutFolderNotes(await files.list(folders.from)))
      }
      return made
    }
    let made = 0
    // Many at once: they wait for their files' age together.
    const many = fc.array(history, { minLength: 30, maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(many, async (histories) => {
        await using stack = new AsyncDisposableStack()
        const pods: (History & { folders: Folders })[] = []
        for (const told of histories) {
          const folders = stack.use(await threeFolders(DISK))
          made += await makeAll(folders.from, told.before)
          pods.push({ ...told, folders })
        }
        await delay(AGE_MS)
        for (const { folders, ...told } of pods) {
          made += await live(told, folders).catch((error) => {
            throw new Error(`${error.message}\n${JSON.stringify(told)}`, { cause: error })
          })
        }
      }),
      // Each takes seconds, so nothing is made smaller; the message names the one history that failed.
      { numRuns: 3, endOnFailure: true },
    )
    assert.ok(made > 1_000, `only ${made} changes made sense`)
  })
})

/** As the source agent does: again, until it has gone well while the pod does what it does. */
async function firstCopy(folders: Folders): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await copy(0, folders)
      return
    } catch (error) {
      if (attempt === 10) throw error
    }
  }
}

/** An xattr that a folder has lost stays, see unpack.ts; another folder in its place looks like that. */
const withoutFolderNotes = (listing: Record<string, Record<string, unknown>>) =>
  Object.fromEntries(
    Object.entries(listing).map(([name, told]) => [
      name,
      String(told.mode).startsWith('0o4') ? { ...told, xattrs: {} } : told,
    ]),
  )
