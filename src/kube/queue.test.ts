import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { sleep } from './clock.ts'
import { WorkQueue } from './queue.ts'
import { FakeClock } from './testing/fake-clock.ts'

const key = fc.constantFrom('a', 'b', 'c')
const step = fc.oneof(
  fc.record({ do: fc.constant('add' as const), key }),
  fc.record({ do: fc.constant('addAfter' as const), key, ms: fc.integer({ min: 0, max: 500 }) }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 300 }) }),
)

type Drawn<A> = A extends fc.Arbitrary<infer T> ? T : never

describe('queue', () => {
  it('never handles a key twice at one time, keeps to its concurrency and loses no addition', async () => {
    const work = fc.array(fc.record({ ms: fc.integer({ min: 0, max: 100 }), fails: fc.boolean() }), { minLength: 1 })
    const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), work, fc.integer({ min: 1, max: 3 }), check)
    await fc.assert(property, { numRuns: 200 })

    async function check(steps: Drawn<typeof step>[], works: Drawn<typeof work>, concurrency: number) {
      const clock = new FakeClock()
      const running = new Set<string>()
      const lastBegun = new Map<string, number>()
      const owed = new Map<string, number>()
      let order = 0
      let turn = 0
      const queue = new WorkQueue({
        clock,
        concurrency,
        random: () => 0.5,
        onError: () => {},
        async process(name) {
          assert.ok(!running.has(name), `${name} runs twice`)
          running.add(name)
          assert.ok(running.size <= concurrency)
          lastBegun.set(name, order++)
          const { ms, fails } = works[turn++ % works.length] ?? { ms: 0, fails: false }
          await sleep(clock, ms)
          running.delete(name)
          // Failures end at some time, or the queue would never be quiet.
          if (fails && turn < 100) throw new Error('asked to fail')
          return undefined
        },
      })
      for (const next of steps) {
        if (next.do === 'wait') await clock.advance(next.ms)
        else {
          owed.set(next.key, order++)
          if (next.do === 'add') queue.add(next.key)
          else queue.addAfter(next.key, next.ms)
        }
      }
      await clock.advance(600_000_000)
      assert.equal(running.size + queue.length, 0)
      for (const [name, at] of owed) assert.ok((lastBegun.get(name) ?? -1) > at, `an addition of ${name} was lost`)
    }
  })

  function recorder(options: { fails?: number; again?: number; concurrency?: number } = {}) {
    const clock = new FakeClock()
    const runs: string[] = []
    let failures = options.fails ?? 0
    const queue = new WorkQueue({
      clock,
      random: () => 1,
      backoff: { baseMs: 100, maxMs: 400 },
      concurrency: options.concurrency ?? 1,
      onError: () => {},
      async process(name) {
        runs.push(`${name}@${clock.now()}`)
        if (failures-- > 0) throw new Error('asked to fail')
        return runs.length === 1 ? options.again : undefined
      },
    })
    return { clock, runs, queue }
  }

  it('handles a key once however often it was added before its turn', async () => {
    const { clock, runs, queue } = recorder()
    for (let times = 0; times < 5; times++) queue.add('a')
    await clock.advance(1_000)
    // The first addition began at once; the others came while it ran and count as one more.
    assert.deepEqual(runs, ['a@0', 'a@0'])
  })

  it('lets the soonest of several times win', async () => {
    const { clock, runs, queue } = recorder()
    queue.addAfter('a', 500)
    queue.addAfter('a', 200)
    queue.addAfter('a', 900)
    await clock.advance(2_000)
    assert.deepEqual(runs, ['a@200'])
  })

  it('waits twice as long after each failure, up to the limit, and anew after a success', async () => {
    const { clock, runs, queue } = recorder({ fails: 4 })
    queue.add('a')
    await clock.advance(2_000)
    assert.deepEqual(runs, ['a@0', 'a@100', 'a@300', 'a@700', 'a@1100'])
  })

  it('comes back when the handling asked for it', async () => {
    const { clock, runs, queue } = recorder({ again: 250 })
    queue.add('a')
    await clock.advance(2_000)
    assert.deepEqual(runs, ['a@0', 'a@250'])
  })

  it('drains: finishes what waits, forgets what is not due, takes nothing more', async () => {
    const { clock, runs, queue } = recorder()
    queue.add('a')
    queue.add('b')
    queue.addAfter('c', 100)
    const drained = queue.drain()
    queue.add('d')
    await drained
    await clock.advance(1_000)
    assert.deepEqual(runs, ['a@0', 'b@0'])
  })

  it('stops: tells the running handler and forgets the rest', async () => {
    const clock = new FakeClock()
    const seen: string[] = []
    const queue = new WorkQueue({
      clock,
      onError: () => {},
      async process(name, signal) {
        await sleep(clock, 60_000, signal)
        seen.push(`${name} ${signal.aborted}`)
        return 5
      },
    })
    queue.add('a')
    queue.add('b')
    await clock.advance(10)
    await queue.stop()
    await clock.advance(1_000)
    assert.deepEqual(seen, ['a true'])
  })
})
