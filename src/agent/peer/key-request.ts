/** Makes a key and a request for its certificate, in a process of its own. */
import { execFile } from 'node:child_process'
import { extname, join } from 'node:path'

/** Whose certificate. */
export interface Subject {
  commonName: string
  organization: string
  dnsNames: readonly string[]
  addresses: readonly string[]
}

/** Both PEM. */
export interface KeyAndRequest {
  key: string
  request: string
}

const PROGRAM = join(import.meta.dirname, `key-request-process${extname(import.meta.filename)}`)
const TIMEOUT_MS = 30_000

/**
 * An ECDSA P-256 key and a PKCS #10 request signed with it.
 *
 * The ASN.1 libraries cost 24 MB of memory (a thread: 40 MB, kept after its end) and are needed once a day: the process takes
 * them along. The key comes back through a pipe and is never on disk.
 */
export function makeKeyAndRequest(subject: Subject): Promise<KeyAndRequest> {
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, [PROGRAM], { timeout: TIMEOUT_MS, env: {} }, (error, stdout) => {
      if (error) return reject(new Error('the process that makes the key failed', { cause: error }))
      resolve(JSON.parse(stdout) as KeyAndRequest)
    })
    // A child that dies early breaks the pipe; its exit says why.
    child.stdin?.on('error', () => {})
    child.stdin?.end(JSON.stringify(subject))
  })
}
