/** Pours a stream into a request with back-pressure, and ends the request in order when the stream can't be had whole. */
import type { ClientRequest, IncomingMessage } from 'node:http'

export interface Interruption {
  /** What the source threw, or the reason of the caller's signal. */
  cause: unknown
}

/** A registry that takes nothing for so long is stuck. */
const STALL_MS = 60_000

/**
 * Resolves when the body is sent, or when there is no use in sending the rest: the registry has refused. A source that fails and
 * a caller that aborts end the body early but cleanly, so that the registry answers and its upload can be cancelled: cutting the
 * connection leaves the upload in a state that only the registry knows, and what was sent stays on its disk.
 *
 * @param answered the request's answer; pouring ends with it
 * @returns why the body is not whole, or undefined
 * @throws whatever broke the connection
 */
export async function pour(
  body: AsyncIterable<Uint8Array>,
  sent: ClientRequest,
  answered: Promise<IncomingMessage>,
  signal: AbortSignal | undefined,
): Promise<Interruption | undefined> {
  const stop = new AbortController()
  const aborted = Promise.withResolvers<Interruption>()
  const onAbort = () => aborted.resolve({ cause: signal?.reason })
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  try {
    const outcome = await Promise.race([pump(body, sent, stop.signal), aborted.promise, answered.then(() => undefined)])
    stop.abort()
    if (!sent.writableEnded) sent.end()
    return outcome
  } finally {
    stop.abort()
    signal?.removeEventListener('abort', onAbort)
  }
}

/** A source that never comes back is left waiting: whoever owns it ends it. */
async function pump(
  body: AsyncIterable<Uint8Array>,
  sent: ClientRequest,
  stop: AbortSignal,
): Promise<Interruption | undefined> {
  try {
    for await (const chunk of body) {
      if (stop.aborted || sent.destroyed) return undefined
      if (!sent.write(chunk)) await drained(sent)
    }
    return undefined
  } catch (cause) {
    return { cause }
  }
}

function drained(sent: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => sent.destroy(new Error(`it takes no data for ${STALL_MS} ms`)), STALL_MS)
    const done = () => {
      clearTimeout(timer)
      sent.off('drain', done).off('close', done)
      resolve()
    }
    sent.on('drain', done).on('close', done)
  })
}
