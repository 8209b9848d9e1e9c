/** Real programs, moved there and back in mode Live while they work: what they know of themselves must go on as if nothing had happened. */
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { kubectl } from '../../lab/cluster.ts'
import { publishFromHost } from '../../lab/images/publish.ts'
import { GATEWAY } from '../../lab/places.ts'
import { noteSeen } from '../../lab/scenario/compatibility.ts'
import { connect } from '../../lab/scenario/connect.ts'
import { deployPodferry } from '../../lab/scenario/deploy.ts'
import { eventually } from '../../lab/scenario/eventually.ts'
import { lastingLeftovers } from '../../lab/scenario/leftovers.ts'
import { migrate } from '../../lab/scenario/migrate.ts'
import { barePod, podOrUndefined, removePod, restarts, runPod } from '../../lab/scenario/pods.ts'
import { bringPrograms, programPod, SOURCES, statesOf } from '../../lab/scenario/programs.ts'
import { isUnbroken, proofsOfMove, redisDigest } from '../../lab/scenario/proofs.ts'
import { startWitness, violations, type Witness } from '../../lab/scenario/witness.ts'
import { PODS } from '../../src/api/resources.ts'
import type { KubeClient } from '../../src/kube/client.ts'

/** So many reports before, between and after the moves: about a second. */
const REPORTS = 40

let client: KubeClient

before(async () => {
  client = await connect()
  await Promise.all([
    deployPodferry({ bus: 'kubernetes' }),
    publishFromHost(['java:host', 'postgres:debian']),
    bringPrograms(),
  ])
})

after(async () => {
  try {
    assert.deepEqual(await lastingLeftovers(client), [])
  } finally {
    client.close()
  }
})

// Whatever became of a test: the next one must not share the processor with its program.
afterEach(async () => {
  const pods = (await client.list(PODS, { namespace: 'default' })).items
  const trips = pods.filter(({ metadata }) => metadata.labels?.app?.endsWith('-trip'))
  await Promise.all(trips.map(({ metadata }) => removePod(client, 'default', metadata.name)))
})

/** By the pod's first name. */
const downtimes = new Map<string, number[]>()

const noteMoved = (podName: string, what: string, checked: string) =>
  noteSeen({ kind: 'program', what, checked, result: 'moves', downtimesMs: downtimes.get(podName) ?? [] })

/** @param arrived runs at each end of the journey. @returns the pod's last name */
async function thereAndBack(podName: string, arrived: (pod: string) => Promise<void>): Promise<string> {
  const moves: string[] = []
  let pod = podName
  for (const destinationNode of ['node-2', 'node-1']) {
    const migration = await migrate(client, { podName: pod, destinationNode, mode: 'Live' })
    for (const { sentence, holds } of await proofsOfMove(client, migration)) assert.ok(holds, `${pod}: ${sentence}`)
    const { timings, destination } = migration.status ?? {}
    moves.push(
      `${timings?.downtimeMs} ms (memory there after ${timings?.steps?.pagesMs} ms, all in ${timings?.totalMs} ms)`,
    )
    downtimes.set(podName, [...(downtimes.get(podName) ?? []), timings?.downtimeMs ?? Number.NaN])
    pod = destination?.podName ?? ''
    await arrived(pod)
  }
  console.log(`${podName}: downtime ${moves.join(', ')}`)
  return pod
}

interface Program<State> {
  name: string
  image: string
  /** The words before the witness's address. */
  command: string[]
  /** The words after it. */
  options?: string[]
  seccomp?: 'RuntimeDefault' | 'Unconfined'
  /** Whether it has looked at all of its state again since it arrived; by default after so many reports. */
  hasLooked?: (now: State, then: State) => boolean
}

const more = (witness: Witness, reports = REPORTS) => {
  const seen = witness.reports.length
  return eventually('it reports on', async () => witness.reports.length > seen + reports)
}

/** Starts a program that reports to the returned witness. */
async function start<State>({ name, image, command, options = [], seccomp = 'Unconfined' }: Program<State>) {
  const witness = await startWitness(GATEWAY)
  const words = [...command, witness.target, ...options]
  await runPod(client, programPod({ name, node: 'node-1', image, command: words, seccomp }))
  await more(witness)
  return witness
}

/**
 * Moves a program there and back. The witness must have heard one unbroken sequence.
 * @returns the last name of the pod, and all that the program said, in order
 */
async function journey<State>(program: Program<State>): Promise<{ pod: string; states: State[] }> {
  const witness = await start(program)
  const last = () => statesOf<State>(witness.reports.slice(-1))[0] as State
  const pod = await thereAndBack(program.name, async () => {
    const arrival = last()
    await more(witness)
    const { hasLooked } = program
    if (hasLooked)
      await eventually('it has looked at all of its state', async () => hasLooked(last(), arrival), 30_000, 20)
  })
  await witness.close()
  assert.deepEqual(violations(witness.reports), [])
  assert.equal(witness.reports[0]?.number, 1)
  return { pod, states: statesOf<State>(witness.reports) }
}

/** What counts never goes back, and each has gone on since the start. */
function assertGrowing(rows: readonly (readonly number[])[]): void {
  for (const [index, row] of rows.entries()) {
    const before = rows[index - 1] ?? row
    assert.ok(
      row.every((count, column) => count >= (before[column] ?? 0)),
      `${before} became ${row}`,
    )
  }
  const [first, last] = [rows[0], rows.at(-1)]
  assert.ok(
    last?.every((count, column) => count > (first?.[column] ?? 0) + 2 * REPORTS),
    `${first} became ${last}`,
  )
}

test('redis: dataset, counters, the same process', async () => {
  const cli = (pod: string, ...words: string[]) => kubectl(['exec', pod, '--', '/usr/bin/redis-cli', ...words])
  await runPod(client, barePod({ name: 'redis-trip', node: 'node-1', image: 'redis:8' }))
  await eventually('redis answers', async () => (await cli('redis-trip', 'ping')).includes('PONG'))
  await cli('redis-trip', 'debug', 'populate', '100000', 'key', '200')
  const identity = async (pod: string) => /run_id:(\w+)/.exec(await cli(pod, 'info', 'server'))?.[1]
  const runID = await identity('redis-trip')
  let digest = await redisDigest('redis-trip')
  let visits = 0
  await thereAndBack('redis-trip', async (there) => {
    assert.equal(await redisDigest(there), digest)
    assert.equal(await identity(there), runID)
    assert.equal(Number(await cli(there, 'incr', 'visits')), ++visits)
    digest = await redisDigest(there)
  })
  const checked = 'digest of the dataset, `run_id` of the process, a counter'
  await noteMoved('redis-trip', 'redis 8, 100,000 keys', checked)
})

test('python3: eight threads, open files, a deleted one, memory', async () => {
  interface State {
    threads: number
    counts: number[]
    torn: number
    read: number
    deleted: boolean
  }
  const { pod, states } = await journey<State>({
    name: 'python-trip',
    image: 'python:3',
    command: ['/usr/bin/python3', `${SOURCES}/threads.py`],
  })
  for (const [index, { threads, torn, read, deleted }] of states.entries())
    assert.deepEqual({ threads, torn, read, deleted }, { threads: 9, torn: 0, read: index + 1, deleted: true })
  assertGrowing(states.map(({ counts }) => counts))
  // Each thread's file holds every number once: its descriptor's offset went along, and nothing that was written is missing.
  const look = `for i in range(8):
    n = [int(line) for line in open(f"/{'data' if i % 2 == 0 else 'tmp'}/thread-{i}")]
    assert n == list(range(1, len(n) + 1)), i
    print(len(n))`
  const lengths = (await kubectl(['exec', pod, '--', '/usr/bin/python3', '-c', look])).trim().split('\n').map(Number)
  assert.ok(
    lengths.every((length, index) => length >= (states.at(-1)?.counts[index] ?? Number.NaN)),
    `${lengths}`,
  )
  const checked =
    "thread count, each thread's counter and its open file (half in an emptyDir, half in the container's layer) line by line, a file that is read bit by bit, a deleted file, sums of 16 MiB"
  await noteMoved('python-trip', 'python3, 8 threads', checked)
})

interface WorkersState {
  threads: number
  workers: { count: number; torn: number }[]
  due: number
  read: number
}

const workers = (name: string, seccomp: 'RuntimeDefault' | 'Unconfined'): Program<WorkersState> => ({
  name,
  // The image that is there already has Node.
  image: 'podferry:dev',
  command: ['/usr/local/bin/node', `${SOURCES}/workers.ts`],
  seccomp,
})

test('node under RuntimeDefault: timers, workers, the thread pool', async () => {
  const { states } = await journey(workers('node-trip', 'RuntimeDefault'))
  assertGrowing(
    states.slice(REPORTS / 2).map(({ due, read, workers }) => [due, read, ...workers.map(({ count }) => count)]),
  )
  assert.ok(states.every(({ workers }) => workers.every(({ torn }) => torn === 0)))
  assert.equal(
    new Set(states.slice(REPORTS / 2).map(({ threads }) => threads)).size,
    1,
    'it has other threads than before',
  )
  // Timers that were armed before a move came due after it: 2 s are 80 ticks.
  assert.ok(
    (states.at(-1)?.due ?? 0) >= states.length - 100,
    `${states.at(-1)?.due} of ${states.length} timers came due`,
  )
  const checked =
    "thread count, two workers' counters and memory, timers armed before a move that come due after it, reads in libuv's thread pool"
  await noteMoved('node-trip', 'node 24 under `seccompProfile: RuntimeDefault`', checked)
})

test('java: a pool of eight threads, a small heap with garbage in it', async () => {
  interface State {
    counts: number[]
    torn: number
    found: boolean
    java: number
  }
  const { states } = await journey<State>({
    name: 'java-trip',
    image: 'java:host',
    command: ['/usr/lib/java/bin/java', '-Xmx64m', '-XX:+UseG1GC', `${SOURCES}/Threads.java`],
  })
  assert.ok(states.every(({ torn, found }) => torn === 0 && found))
  assertGrowing(states.map(({ counts }) => counts))
  const checked = "eight pool threads' counters, a map, sums of 16 MiB while garbage is collected"
  await noteMoved('java-trip', `java ${states[0]?.java}, G1, 64 MiB heap`, checked)
})

/** `PODFERRY_PROGRAM_MIB=1024` for the figure in docs/compatibility.md: each page is read again after each move, which takes a minute. */
const MEBIBYTES = Number(process.env.PODFERRY_PROGRAM_MIB ?? 256)

test(`${MEBIBYTES} MiB of memory, changed and summed up all the time`, async () => {
  interface State {
    mebibytes: number
    looked: number
    torn: number
  }
  const { states } = await journey<State>({
    name: 'memory-trip',
    image: 'python:3',
    command: ['/usr/bin/python3', `${SOURCES}/memory.py`],
    options: [String(MEBIBYTES)],
    hasLooked: (now, then) => now.looked > then.looked + now.mebibytes,
  })
  for (const { mebibytes, torn } of states) assert.deepEqual({ mebibytes, torn }, { mebibytes: MEBIBYTES, torn: 0 })
  const checked = 'sums of every MiB, of which one changes at each report; all of it read again after each arrival'
  await noteMoved('memory-trip', `python3, ${MEBIBYTES} MiB of memory`, checked)
})

test('eight processes, pipes with a number in flight, a unix socket pair with unread messages', async () => {
  interface State {
    processes: number[]
    hops: number
    unread: number
  }
  const { states } = await journey<State>({
    name: 'ring-trip',
    image: 'python:3',
    command: ['/usr/bin/python3', `${SOURCES}/processes.py`],
  })
  const processes = states[0]?.processes
  assert.equal(processes?.length, 8)
  for (const [index, state] of states.entries()) {
    const round = index + 1
    const unread = round > 16 ? 8 * (round - 17) + 3 : 0
    assert.deepEqual(state, { processes, hops: 8 * round, unread })
  }
  const checked =
    'their numbers; a number that goes round in pipes, each adding one; a unix socket pair that always holds 16 unread messages'
  await noteMoved('ring-trip', 'python3, 8 processes', checked)
})

test('postgres: shared memory, a session that writes, one whose transaction is open', async () => {
  const name = 'postgres-trip'
  const command = ['/bin/sh', '-c', `eval "$(cat ${SOURCES}/postgres.sh)"`]
  const image = 'postgres:debian'
  await runPod(client, programPod({ name, node: 'node-1', image, command, seccomp: 'RuntimeDefault' }))
  const run = (pod: string, ...words: string[]) => kubectl(['exec', pod, '--', ...words])
  const ask = async (pod: string, sql: string) => {
    const how = ['--host=/data', '--username=me', '--dbname=postgres', '--no-psqlrc', '--tuples-only', '--no-align']
    return (await run(pod, 'psql', ...how, '--command', sql)).trim()
  }
  const ticks = async (pod: string) => Number(await ask(pod, 'select max(n) from ticks'))
  await eventually('it is written to', async () => (await ticks(name)) > 20)
  const checksum = "select count(*), md5(string_agg(word, '' order by n)) from book"
  const [book, started] = [await ask(name, checksum), await ask(name, 'select pg_postmaster_start_time()')]
  assert.match(book, /^50000\|/)
  const pod = await thereAndBack(name, async (there) => {
    assert.equal(await ask(there, checksum), book)
    assert.equal(await ask(there, 'select pg_postmaster_start_time()'), started)
    const arrival = await ticks(there)
    await eventually('it is written to again', async () => (await ticks(there)) > arrival + 20)
  })
  // The session's own end of the transaction, which nobody else has seen anything of until now.
  await run(pod, '/bin/sh', '-c', 'echo "commit;" >/data/session')
  const committed = async () => (await ask(pod, 'select word from book where n = 0')) === 'written before the moves'
  await eventually('the open transaction is committed', committed, 10_000)
  assert.equal(await ask(pod, 'select count(*) = max(n) from ticks'), 't')
  const acknowledged = (await run(pod, 'cat', '/data/ticks.log')).split('\n').filter(Boolean).map(Number)
  assert.ok(isUnbroken(acknowledged), 'what the writing session was told is not one sequence')
  assert.doesNotMatch(await run(pod, 'cat', '/data/postgres.log'), /recovery|not properly shut down|PANIC|terminated/)
  const checked =
    "a table's checksum, start time of the postmaster, a session that writes twenty rows a second and is told of each, a transaction that is begun before the moves and committed after them, no recovery in the log"
  await noteMoved(
    name,
    `PostgreSQL ${/\b(\d+)/.exec(await ask(pod, 'show server_version'))?.[1]}, shared memory, an open transaction`,
    checked,
  )
})

test('node without a seccomp profile uses io_uring: refused in words, and it runs on untouched', async () => {
  const program = workers('uring-trip', 'Unconfined')
  const witness = await start(program)
  const { status } = await migrate(client, { podName: program.name, destinationNode: 'node-2', mode: 'Live' })
  assert.equal(status?.failure?.reason, 'IoUring')
  assert.match(status?.failure?.message ?? '', /io_uring.*seccompProfile RuntimeDefault/)
  assert.doesNotMatch(status?.failure?.message ?? '', /level=/, 'logs are no message')
  console.log(`${program.name}: ${status?.failure?.message}\n  ${status?.failure?.criuLog?.join('\n  ')}`)
  await more(witness)
  await witness.close()
  assert.deepEqual(violations(witness.reports), [])
  const pod = await podOrUndefined(client, 'default', program.name)
  assert.equal(pod && restarts(pod), 0)
  await noteSeen({
    kind: 'program',
    what: 'node 24 without a seccomp profile',
    result: 'refused',
    checked: `IoUring: ${status?.failure?.message}`,
  })
})
