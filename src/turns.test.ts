import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createTurns } from './turns.ts'

test('work on one thing is done one after another, also after a failure; other things do not wait', async () => {
  const inTurn = createTurns()
  const seen: string[] = []
  const work = (what: string, ms: number) => async () => {
    seen.push(`${what} begins`)
    await delay(ms)
    seen.push(`${what} ends`)
    return what
  }
  const first = inTurn('a', work('first', 20))
  const failing = inTurn('a', async () => {
    seen.push('failing')
    throw new Error('as meant')
  })
  const second = inTurn('a', work('second', 1))
  const other = inTurn('b', work('other', 1))
  await assert.rejects(failing, /as meant/)
  assert.deepEqual(await Promise.all([first, second, other]), ['first', 'second', 'other'])
  assert.deepEqual(seen, [
    'first begins',
    'other begins',
    'other ends',
    'first ends',
    'failing',
    'second begins',
    'second ends',
  ])
})
