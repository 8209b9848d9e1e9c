/** The command line as a whole: what users type, and the names of the roles that only podferry's manifests start. */
import { Command } from 'commander'
import { cancel, cancelCommand } from './commands/cancel.ts'
import { doctor, doctorCommand } from './commands/doctor.ts'
import { list, listCommand } from './commands/list.ts'
import { migrate, migrateCommand } from './commands/migrate.ts'
import { recover, recoverCommand } from './commands/recover.ts'
import { status, statusCommand } from './commands/status.ts'
import { version, versionCommand } from './commands/version.ts'
import { withConnectionFlags } from './connection-options.ts'
import type { ExitCode } from './exit-codes.ts'
import type { Io } from './io.ts'
import { ROLES } from './roles.ts'

const AFTERWORD = `
Roles (started by podferry's manifests, not by hand): ${Object.keys(ROLES).join(', ')}

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the migration failed or was refused (while waiting);
4 time-out; 5 a dry run or the doctor found something in the way; 130 interrupted (the migration goes on).`

/**
 * The commands for people. What they need of the cluster is loaded when one runs, so that help stays quick.
 *
 * @param onEnd told how the command ended, unless it threw
 */
export function createProgram(io: Io, onEnd: (exitCode: ExitCode) => void): Command {
  const program = new Command(io.program)
    .description('Moves a running pod to another node, with its memory and files.')
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })
    .addHelpText('after', AFTERWORD)
    .exitOverride()
  withConnectionFlags(program, true)
  const commands = [
    migrateCommand(async (flags, pod) => onEnd(await migrate(pod, flags, io))),
    statusCommand(async (flags, name) => onEnd(await status(name, flags, io))),
    listCommand(async (flags) => onEnd(await list(flags, io))),
    cancelCommand(async (flags, name) => onEnd(await cancel(name, flags, io))),
    recoverCommand(async (flags, name) => onEnd(await recover(name, flags, io))),
    doctorCommand(async (flags, target) => onEnd(await doctor(target, flags, io))),
    versionCommand(async (flags) => onEnd(await version(flags, io))),
  ]
  for (const command of commands) program.addCommand(command.copyInheritedSettings(program))
  return program
}
