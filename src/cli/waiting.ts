/** Waiting for the end of a Migration, with a display for whoever looks on. */
import { isFinished, phaseOf, truth } from '../api/conditions.ts'
import type { Migration } from '../api/migration.ts'
import type { Session } from './connection-options.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { follow } from './follow.ts'
import { type Io, say } from './io.ts'
import { endingOf } from './output/ending.ts'
import { formatObject, type Output } from './output/objects.ts'
import { frame, observe, type Progress } from './output/progress.ts'
import { Screen } from './output/screen.ts'
import { formatTransition, transitionsOf } from './output/transitions.ts'

/** Longer than a healthy controller, or the election of a new one, takes to accept. */
const SILENCE_MS = 20_000

interface WaitOptions {
  session: Session
  migration: Migration
  io: Io
  output: Output | undefined
  /** Waiting ends after this time, the Migration does not. */
  limitMs: number
}

/** @returns the exit code that tells how the Migration ended, or why we no longer wait */
export async function waitForEnd({ session, migration, io, output, limitMs }: WaitOptions): Promise<ExitCode> {
  const overdue = AbortSignal.timeout(limitMs)
  const interrupt = io.catchInterrupt()
  const signal = AbortSignal.any([interrupt, overdue])
  const display = displayFor(io, output)
  const hint = setTimeout(() => display.note(SILENT), SILENCE_MS)
  const { namespace = 'default', name } = migration.metadata
  let last = migration
  try {
    const onFailure = (error: Error) => display.note(`${error.message}; trying again`)
    for await (const seen of follow({ client: session.client, namespace, name, signal, onFailure })) {
      last = seen
      display.show(seen)
      if (seen.status?.conditions?.length) clearTimeout(hint)
      if (isFinished(seen.status)) break
    }
  } finally {
    clearTimeout(hint)
    display.close()
  }
  if (isFinished(last.status)) return await tellEnding(last, io, output)
  return tellUnfinished(last, io, { interrupted: interrupt.aborted, overdue: overdue.aborted, limitMs })
}

const SILENT = `podferry's controller has not answered for ${SILENCE_MS / 1000} s; is it running? kubectl get pods -n podferry-system`

async function tellEnding(migration: Migration, io: Io, output: Output | undefined): Promise<ExitCode> {
  const { exitCode, lines } = endingOf(migration, io.program)
  if (output === 'yaml') say(io.stdout, await formatObject(migration, 'yaml'))
  if (exitCode !== EXIT.done) say(io.stderr, lines)
  else if (output === undefined || output === 'wide') say(io.stdout, lines)
  return exitCode
}

function tellUnfinished(
  migration: Migration,
  io: Io,
  why: { interrupted: boolean; overdue: boolean; limitMs: number },
): ExitCode {
  const { namespace = 'default', name } = migration.metadata
  const target = `-n ${namespace} ${name}`
  const decided = truth(migration.status, 'Committed') !== 'Unknown'
  const next = [`next: ${io.program} status ${target}`, ...(decided ? [] : [`  or: ${io.program} cancel ${target}`])]
  if (why.interrupted) {
    say(io.stderr, [`interrupted: the migration ${namespace}/${name} goes on (${phaseOf(migration.status)})`, ...next])
    return EXIT.interrupted
  }
  if (why.overdue) {
    const waited = `${Math.round(why.limitMs / 1000)} s`
    say(io.stderr, [
      `error: ${namespace}/${name} has not ended after ${waited} (${phaseOf(migration.status)})`,
      ...next,
    ])
    return EXIT.timedOut
  }
  say(io.stderr, [`error: ${namespace}/${name} was deleted before it ended`])
  return EXIT.migrationFailed
}

interface Display {
  show(migration: Migration): void
  /** A sentence that belongs to no step. */
  note(sentence: string): void
  close(): void
}

function displayFor(io: Io, output: Output | undefined): Display {
  if (output === 'json') return transitionDisplay(io, (t) => say(io.stdout, [JSON.stringify(t)]))
  if (output !== undefined && output !== 'wide') return transitionDisplay(io, () => undefined)
  return io.stderr.isTTY ? screenDisplay(io) : transitionDisplay(io, (t) => say(io.stderr, [formatTransition(t)]))
}

function transitionDisplay(io: Io, tell: (transition: ReturnType<typeof transitionsOf>[number]) => void): Display {
  let before: Migration | undefined
  return {
    show(migration) {
      transitionsOf(before, migration).forEach(tell)
      before = migration
    },
    note: (sentence) => say(io.stderr, [`${io.now().toISOString()} ${sentence}`]),
    close: () => undefined,
  }
}

function screenDisplay(io: Io): Display {
  let progress: Progress | undefined
  let sentence: string | undefined
  let screen: Screen | undefined
  const lines = () => {
    const steps = progress === undefined ? [] : frame(progress, io.now().getTime())
    return sentence === undefined
      ? steps
      : [...steps, { state: 'waiting' as const, title: sentence, time: '', detail: '' }]
  }
  return {
    show(migration) {
      progress = observe(progress, migration, io.now().getTime())
      sentence = undefined
      screen ??= new Screen(io.stderr, lines)
    },
    note(text) {
      sentence = text
    },
    close: () => screen?.close(),
  }
}
