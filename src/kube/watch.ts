import { StringDecoder } from 'node:string_decoder'
import type { Clock } from './clock.ts'
import { errorFromStatus, KubeError, type Status } from './error.ts'
import type { KubeObject } from './resource.ts'
import type { KubeRequest, Transport } from './transport.ts'

/** A change of one object, or (`BOOKMARK`) only the news that everything up to its resourceVersion has been told. */
export interface WatchEvent<T extends KubeObject = KubeObject> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  object: T
}

interface WatchStreamOptions {
  transport: Transport
  request: KubeRequest
  /** Silence (not even a bookmark) after which the connection is given up: it may be dead without anybody knowing. */
  idleMs: number
  clock: Clock
}

/**
 * The events of one watch until it ends, which is nothing special: the server ends it every few minutes, connections are cut, and
 * one that is silent is left (a quiet resource gets no bookmarks either: they are sent only when there is a newer version to name).
 * The next watch from the last version tells what is missing, the half line at the end of a cut one included.
 * @throws KubeError for ERROR events (`isExpired`: list again), lines that are no JSON, and failures to connect
 */
export async function* watchStream<T extends KubeObject>(options: WatchStreamOptions): AsyncGenerator<WatchEvent<T>> {
  const { transport, request, idleMs, clock } = options
  const response = await transport.stream(request)
  const leave = () => response.destroy()
  let cancel = clock.after(idleMs, leave)
  try {
    for await (const line of lines(response)) {
      cancel()
      yield parseEvent<T>(request.path, line)
      cancel = clock.after(idleMs, leave)
    }
  } catch (error) {
    if (error instanceof KubeError) throw error
    // The socket died, or we left it: an end like any other.
  } finally {
    cancel()
    response.destroy()
  }
}

/** Complete lines of a byte stream; what stands behind the last line feed when the stream ends is dropped. */
export async function* lines(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8')
  let pending: string[] = []
  for await (const chunk of chunks) {
    const parts = decoder.write(chunk).split('\n')
    const rest = parts.pop() ?? ''
    for (const part of parts) {
      const line = pending.join('') + part
      pending = []
      if (line !== '') yield line
    }
    // Pieces are joined once a line: adding to one string would copy a large object again with each chunk.
    if (rest !== '') pending.push(rest)
  }
}

function parseEvent<T extends KubeObject>(path: string, line: string): WatchEvent<T> {
  let event: { type?: string; object?: unknown }
  try {
    event = JSON.parse(line)
  } catch (cause) {
    throw watchError(path, 'InvalidWatchEvent', `a line is no JSON: ${line.slice(0, 100)}`, cause)
  }
  switch (event?.type) {
    case 'ERROR':
      throw errorFromStatus(path, event.object as Status)
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK':
      return event as WatchEvent<T>
    default:
      throw watchError(path, 'InvalidWatchEvent', `unknown event type ${JSON.stringify(event?.type)}`)
  }
}

function watchError(path: string, reason: string, message: string, cause?: unknown): KubeError {
  return new KubeError({ status: 0, reason, message: `WATCH ${path}: ${message}`, cause })
}
