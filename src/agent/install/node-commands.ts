/** Programs of the node, run where they belong: in the node's own namespaces. */
import { execFile } from 'node:child_process'

export interface CommandResult {
  /** A command that was killed, or that is not there, counts as 127. */
  code: number
  stdout: string
  stderr: string
}

export interface NodeCommands {
  /** Runs a command to its end, whatever its exit code; it is killed after `timeoutMs`. */
  exec(argv: readonly string[], options: { timeoutMs: number }): Promise<CommandResult>
}

const MAX_OUTPUT_BYTES = 16 << 20
// A service manager's usual one; where a program's place depends on containerd's PATH, the caller says so.
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** For the agent's own container, which sees the node's processes (hostPID). */
export const nodeCommands: NodeCommands = {
  exec: (argv, { timeoutMs }) =>
    new Promise((resolve) => {
      const enter = ['-t', '1', '-m', '-u', '-i', '-n', '-p', '--', ...argv]
      const options = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT_BYTES, env: { PATH } } as const
      execFile('nsenter', enter, options, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 127
        resolve({ code, stdout, stderr: stderr || (error?.message ?? '') })
      })
    }),
}
