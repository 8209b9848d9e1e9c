/** A keeper's control socket: one line of JSON in, one out. */
import { chmodSync, closeSync, constants, openSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import type { KeeperState } from './keeper-state.ts'

export type ControlRequest = { do: 'state' } | { do: 'open'; port: number } | { do: 'abort' }

type Answer = KeeperState | { error: string }

const SOCKET = 'keeper.sock'
const PATIENCE_MS = 5_000

/** A path of a Unix socket holds 107 characters, less than our folders need: it is reached through a descriptor of the folder. */
function openFolder(folder: string): { path: string; fd: number } {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  return { fd, path: `/proc/self/fd/${fd}/${SOCKET}` }
}

/**
 * Answers until the process ends.
 *
 * @param folder as this process sees it, root-only
 * @param answer a rejection is told to the caller
 */
export async function serveControl(
  folder: string,
  answer: (request: ControlRequest) => Promise<KeeperState>,
): Promise<void> {
  rmSync(join(folder, SOCKET), { force: true })
  const server = createServer((socket) => {
    let text = ''
    socket.setEncoding('utf8')
    socket.on('error', () => {})
    socket.on('data', (piece: string) => {
      text += piece
      const end = text.indexOf('\n')
      if (end < 0) return
      const line = text.slice(0, end)
      text = ''
      void reply(line).then((said) => socket.end(`${JSON.stringify(said)}\n`))
    })
  })
  const reply = async (line: string): Promise<Answer> => {
    try {
      return await answer(parseRequest(line))
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) }
    }
  }
  // The descriptor stays open: the path must stay what it is.
  const { path } = openFolder(folder)
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  chmodSync(path, 0o600)
  // Whoever asks does not keep the keeper alive.
  server.unref()
}

function parseRequest(line: string): ControlRequest {
  const request = JSON.parse(line) as { do?: unknown; port?: unknown }
  if (request.do === 'state' || request.do === 'abort') return { do: request.do }
  const { port } = request
  if (request.do === 'open' && typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 65536) {
    return { do: 'open', port }
  }
  throw new Error('a keeper knows state, open with a port, and abort')
}

/**
 * @param folder as this process sees it
 * @returns undefined when no keeper listens there
 * @throws Error with the keeper's own words, or when it is silent for five seconds
 */
export async function askKeeper(folder: string, request: ControlRequest): Promise<KeeperState | undefined> {
  let opened: ReturnType<typeof openFolder>
  try {
    opened = openFolder(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const line = await ask(opened.path, `${JSON.stringify(request)}\n`)
    if (line === undefined) return undefined
    const answer = JSON.parse(line) as Answer
    if ('error' in answer) throw new Error(answer.error)
    return answer
  } finally {
    closeSync(opened.fd)
  }
}

function ask(path: string, line: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    let text = ''
    socket.setEncoding('utf8')
    socket.setTimeout(PATIENCE_MS, () =>
      socket.destroy(new Error(`the keeper says nothing for ${PATIENCE_MS / 1000} s`)),
    )
    socket.on('data', (piece: string) => {
      text += piece
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(error.code ?? '')) resolve(undefined)
      else reject(error)
    })
    // A keeper that dies over the question has not answered.
    socket.once('close', () => resolve(text.endsWith('\n') ? text : undefined))
    socket.write(line)
  })
}
