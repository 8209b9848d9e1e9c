/** The part of the OCI distribution API that podferry speaks: push, look, delete. */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { PodferryError } from '../errors.ts'
import { authorize } from './challenge.ts'
import { type RegistryAnswer, type RegistryRequest, type RegistryTarget, registryOrigin, send } from './http.ts'
import { type Descriptor, MANIFEST_TYPE, type Manifest } from './media-types.ts'

export const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** A layer of many GiB may have to reach the disk first. */
const COMMIT_TIMEOUT_MS = 300_000
/** Waits before the second and the third try of what may be repeated. */
const RETRY_MS = [100, 400]

interface Call extends Omit<RegistryRequest, 'url'> {
  path: string
}

/** One registry; remembers what authorized it last. */
export class RegistryClient {
  readonly #target: RegistryTarget
  readonly #origin: URL
  #authorization: string | undefined

  /** @throws PodferryError `InsecureRegistry` for plain HTTP beyond the loopback */
  constructor(target: RegistryTarget) {
    this.#target = target
    this.#origin = registryOrigin(target)
  }

  /** Resolves when the registry answers. */
  async ping(signal?: AbortSignal): Promise<void> {
    expect(await this.#call({ method: 'GET', path: '/v2/', signal }), 200, 'ping')
  }

  async hasBlob(repository: string, digest: string): Promise<boolean> {
    const answer = await this.#call({ method: 'HEAD', path: `/v2/${repository}/blobs/${digest}` })
    return answer.status !== 404 && expect(answer, 200, `look for blob ${digest}`).status === 200
  }

  /**
   * Uploads a stream of unknown length; its digest is computed in flight. It is never in memory whole and never on our disk.
   *
   * @throws PodferryError when the registry refuses or breaks off; the upload is cancelled then
   */
  async uploadBlob(
    repository: string,
    mediaType: string,
    content: AsyncIterable<Uint8Array>,
    signal?: AbortSignal,
  ): Promise<Descriptor> {
    const opened = await this.#call({ method: 'POST', path: `/v2/${repository}/blobs/uploads/`, signal })
    let location = this.#location(expect(opened, 202, `begin of an upload to ${repository}`))
    const hash = createHash('sha256')
    let size = 0
    const counted = async function* () {
      for await (const chunk of content) {
        hash.update(chunk)
        size += chunk.length
        yield chunk
      }
    }
    try {
      const headers = { 'content-type': 'application/octet-stream' }
      const written = await this.#send({
        method: 'PATCH',
        url: location,
        headers,
        body: counted(),
        signal,
        timeoutMs: COMMIT_TIMEOUT_MS,
      })
      // Only the newest location can be cancelled: the registry signs the number of bytes it has into it.
      if (written.status === 202) location = this.#location(written)
      if (written.interrupted) throw written.interrupted.cause
      expect(written, 202, `upload to ${repository}`)
      const digest = `sha256:${hash.digest('hex')}`
      await this.#commit(repository, location, digest, signal)
      return { mediaType, digest, size }
    } catch (error) {
      await this.#send({ method: 'DELETE', url: location }).catch(() => {})
      throw error
    }
  }

  /** An answer that got lost is asked for again in another way: the blob is there or it isn't. */
  async #commit(repository: string, location: URL, digest: string, signal: AbortSignal | undefined): Promise<void> {
    const url = new URL(location)
    url.searchParams.set('digest', digest)
    try {
      const ended = await this.#send({ method: 'PUT', url, signal, timeoutMs: COMMIT_TIMEOUT_MS })
      expect(ended, 201, `end of an upload to ${repository}`)
    } catch (error) {
      const lost = error instanceof PodferryError && error.reason === 'RegistryUnreachable'
      if (!lost || !(await this.hasBlob(repository, digest).catch(() => false))) throw error
    }
  }

  /** Uploads a small blob from memory. */
  uploadBytes(repository: string, mediaType: string, bytes: Buffer, signal?: AbortSignal): Promise<Descriptor> {
    return this.uploadBlob(repository, mediaType, one(bytes), signal)
  }

  /** @returns the manifest and its digest, or undefined when the tag or digest is unknown */
  async manifest(repository: string, reference: string): Promise<{ digest: string; manifest: Manifest } | undefined> {
    const path = `/v2/${repository}/manifests/${reference}`
    const answer = await this.#call({ method: 'GET', path, headers: { accept: MANIFEST_TYPE } })
    if (answer.status === 404) return undefined
    expect(answer, 200, `manifest ${repository}:${reference}`)
    return { digest: sha256(answer.body), manifest: JSON.parse(answer.body.toString()) }
  }

  /** @returns the manifest's digest */
  async putManifest(repository: string, tag: string, manifest: Manifest, signal?: AbortSignal): Promise<string> {
    const body = Buffer.from(JSON.stringify(manifest))
    const path = `/v2/${repository}/manifests/${tag}`
    const answer = await this.#call({
      method: 'PUT',
      path,
      headers: { 'content-type': manifest.mediaType },
      body,
      signal,
    })
    expect(answer, 201, `manifest ${repository}:${tag}`)
    return sha256(body)
  }

  /** Deletes a manifest; none is as good. */
  async deleteManifest(repository: string, digest: string): Promise<void> {
    const answer = await this.#call({ method: 'DELETE', path: `/v2/${repository}/manifests/${digest}` })
    if (answer.status !== 404) expect(answer, 202, `deletion of ${repository}@${digest}`)
  }

  async deleteBlob(repository: string, digest: string): Promise<void> {
    const answer = await this.#call({ method: 'DELETE', path: `/v2/${repository}/blobs/${digest}` })
    if (answer.status !== 404) expect(answer, 202, `deletion of blob ${digest}`)
  }

  #location({ headers }: RegistryAnswer): URL {
    const url = new URL(headers.location ?? '', this.#origin)
    // An upload must go where we asked for it: a registry can't send memory elsewhere.
    if (url.origin === this.#origin.origin) return url
    const message = `registry ${this.#origin.origin} sends uploads to ${url.origin}; set its http.host or relativeurls so that it names itself`
    throw new PodferryError({ reason: 'RegistryRedirects', message, retry: 'afterChange' })
  }

  #call({ path, ...request }: Call): Promise<RegistryAnswer> {
    return this.#send({ ...request, url: new URL(path, this.#origin) })
  }

  async #send(request: RegistryRequest): Promise<RegistryAnswer> {
    const answer = await this.#sendOnce(request)
    if (answer.status !== 401) return answer
    this.#authorization = await authorize(this.#target, answer.headers['www-authenticate'])
    // A streamed body is gone; the upload's begin has already been authorized, so that this seldom happens.
    const repeatable = request.body === undefined || Buffer.isBuffer(request.body)
    return this.#authorization !== undefined && repeatable ? this.#sendOnce(request) : answer
  }

  async #sendOnce(request: RegistryRequest): Promise<RegistryAnswer> {
    const authorization: Record<string, string> = this.#authorization ? { authorization: this.#authorization } : {}
    const authorized = { ...request, headers: { ...request.headers, ...authorization } }
    for (let tries = 0; ; tries++) {
      const wait = isIdempotent(request) ? RETRY_MS[tries] : undefined
      try {
        const answer = await send(this.#target, authorized)
        if (wait === undefined || ![502, 503, 504].includes(answer.status)) return answer
      } catch (error) {
        const away = error instanceof PodferryError && error.reason === 'RegistryUnreachable'
        if (!away || wait === undefined || request.signal?.aborted) throw error
      }
      await sleep(wait)
    }
  }
}

/** Beginning, feeding and ending an upload are not: each moves the registry's state of it. */
const isIdempotent = ({ method, body }: RegistryRequest): boolean =>
  method === 'GET' || method === 'HEAD' || method === 'DELETE' || (method === 'PUT' && Buffer.isBuffer(body))

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** @throws PodferryError with the registry's own words */
function expect(answer: RegistryAnswer, status: number, what: string): RegistryAnswer {
  if (answer.status === status) return answer
  throw new PodferryError({
    reason: answer.status === 401 || answer.status === 403 ? 'RegistryForbids' : 'RegistryRefuses',
    message: `${what}: the registry answered ${answer.status}: ${words(answer.body)}`,
    retry: answer.status >= 500 || answer.status === 429 ? 'backoff' : 'afterChange',
  })
}

function words(body: Buffer): string {
  const text = body.toString().trim()
  try {
    const { errors } = JSON.parse(text) as { errors?: { code?: string; message?: string }[] }
    return errors?.map(({ code, message }) => `${code}: ${message}`).join('; ') || text.slice(0, 300)
  } catch {
    return text.slice(0, 300) || 'without a word'
  }
}
