/** From argv to an exit code: every error becomes one clear message here. */
import { CommanderError } from 'commander'
import { PodferryError } from '../errors.ts'
import { EXIT, type ExitCode, UsageError } from './exit-codes.ts'
import { type Io, say } from './io.ts'
import { createProgram } from './program.ts'
import { ROLES } from './roles.ts'

/**
 * @param args what the user typed after the program's name
 * @returns the exit code; never throws for what a user may do wrong
 */
export async function run(args: readonly string[], io: Io): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.done
  const program = createProgram(io, (code) => {
    exitCode = code
  })
  try {
    const role = Object.hasOwn(ROLES, args[0] ?? '') ? ROLES[args[0] ?? ''] : undefined
    if (role) program.addCommand((await role()).copyInheritedSettings(program))
    await program.parseAsync(args.length === 0 ? ['--help'] : args.map(spellOut), { from: 'user' })
    return exitCode
  } catch (error) {
    return tell(error, io)
  }
}

/** Kubectl's manner: a bare `--dry-run` takes no word after it, which commander would let it do. */
const spellOut = (arg: string): string => (arg === '--dry-run' ? '--dry-run=preflight' : arg)

/** What the API server answers for a kind that it does not know, without and with other kinds of the group. */
const NO_SUCH_KIND = /404 page not found|could not find the requested resource/

const hints = ({ reason, message }: PodferryError): string[] =>
  reason === 'NotFound' && NO_SUCH_KIND.test(message)
    ? ['podferry is not installed in this cluster: make deploy IMG=… (see README.md)']
    : []

function tell(error: unknown, io: Io): ExitCode {
  // Commander has said it already; help that was asked for is no mistake.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage
  if (error instanceof UsageError) {
    say(io.stderr, [`error: ${error.message}`, `see: ${io.program} --help`])
    return EXIT.usage
  }
  if (error instanceof PodferryError) {
    say(io.stderr, [`error: ${error.message}`, ...hints(error), ...error.criuLog.map((line) => `CRIU: ${line}`)])
    return EXIT.failed
  }
  const told = error instanceof Error ? (error.stack ?? error.message) : String(error)
  say(io.stderr, [`error: this is a bug in podferry: ${told}`])
  return EXIT.failed
}
