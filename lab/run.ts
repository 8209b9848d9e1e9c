/** Child processes, always from an argument vector. */
import { spawn } from 'node:child_process'
import { LabError } from './lab-error.ts'

export interface RunOptions {
  input?: string
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Milliseconds after which the command is killed. */
  timeout?: number
}

export interface RunResult {
  code: number
  stdout: string
  stderr: string
}

/** Runs a command to its end, whatever its exit code (a killed one counts as 128 + signal, as in a shell). */
export function attempt(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [command = '', ...args] = argv
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.timeout === undefined ? {} : { timeout: options.timeout, killSignal: 'SIGKILL' }),
    })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
    child.on('error', (cause) => reject(new LabError(`cannot run ${command}: ${cause.message}`, { cause })))
    child.on('close', (code) =>
      resolve({ code: code ?? 128, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }),
    )
    // A command that exits early closes its input: that is its exit code's business.
    child.stdin?.on('error', () => {})
    child.stdin?.end(options.input)
  })
}

/**
 * Runs a command that must succeed.
 * @returns its standard output.
 * @throws LabError with the end of its output when the exit code is not 0.
 */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await attempt(argv, options)
  if (result.code !== 0) {
    const said = (result.stderr.trim() || result.stdout.trim()).split('\n').slice(-15).join('\n')
    throw new LabError(`${argv.join(' ')} failed (exit code ${result.code}): ${said}`)
  }
  return result.stdout
}

/** Runs a command on the caller's terminal and @returns its exit code. */
export function runAttached(argv: readonly string[], env?: NodeJS.ProcessEnv): Promise<number> {
  const [command = '', ...args] = argv
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', ...(env === undefined ? {} : { env }) })
    child.on('error', (cause) => reject(new LabError(`cannot run ${command}: ${cause.message}`, { cause })))
    child.on('close', (code) => resolve(code ?? 128))
  })
}
