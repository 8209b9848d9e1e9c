/** The one program: `podferry`, also as `kubectl podferry`; every role and every command. */
import { invocationName } from './cli/invocation.ts'
import { run } from './cli/run.ts'

// `podferry list | head`: whoever has read enough is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

process.exitCode = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  now: () => new Date(),
  program: invocationName(process.env.PODFERRY_CALLED_AS ?? process.argv[1]),
  catchInterrupt() {
    const interrupt = new AbortController()
    process.once('SIGINT', () => interrupt.abort())
    return interrupt.signal
  },
})
