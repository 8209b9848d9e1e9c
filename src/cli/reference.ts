/** docs/cli.md, made from the commands themselves. */
import { Writable } from 'node:stream'
import type { Command } from 'commander'
import { createProgram } from './program.ts'
import { ROLES } from './roles.ts'

const INTRODUCTION = `# Command line

<!-- Made by \`make manifests\` from src/cli: change the code, not this file. -->

\`podferry\`, or \`kubectl podferry\` when a link named \`kubectl-podferry\` to \`bin/podferry\` is on the PATH.

Results go to standard output, progress and errors to standard error. On a terminal \`migrate --wait\` draws a line for each step; elsewhere
it prints a line for each transition, and with \`-o json\` one JSON object for each.

| exit code | means |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | wrong usage |
| 3 | the migration failed or was refused, while waiting for it |
| 4 | time-out: it was not committed in time and rolled back, or has not ended while waiting |
| 5 | \`doctor\` or \`migrate --dry-run\`: something is in the way |
| 130 | interrupted while waiting: the migration goes on |
`

const nowhere = () => new Writable({ write: (_chunk, _encoding, done) => done() })

/** @returns the whole reference as Markdown */
export async function cliReference(): Promise<string> {
  const io = {
    stdout: nowhere(),
    stderr: nowhere(),
    now: () => new Date(0),
    program: 'podferry',
    catchInterrupt: () => new AbortController().signal,
  }
  const program = createProgram(io, () => undefined)
  const roles = await Promise.all(Object.values(ROLES).map((load) => load()))
  return [
    INTRODUCTION,
    ...program.commands.map((command) => section(command, program)),
    "## Roles\n\nStarted by podferry's manifests.\n",
    ...roles.map((role) => section(program.addCommand(role).commands.at(-1) ?? role, program).replace('## ', '### ')),
  ].join('\n')
}

/** Help is as wide as the terminal it is asked for in; the reference always as one of 100 columns. */
function section(command: Command, program: Command): string {
  command.configureHelp({ helpWidth: 100 })
  return `## ${program.name()} ${command.name()}\n\n\`\`\`\n${command.helpInformation().trimEnd()}\n\`\`\`\n`
}
