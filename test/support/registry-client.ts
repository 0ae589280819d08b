/**
 * @module A small registry client on node:http: sends what it is told, byte for byte, and returns
 * status, headers and body. What no HTTP library would send is `raw-http.ts`'s business.
 */
import { Agent, type IncomingMessage, request as send } from 'node:http'
import { type Algorithm, type Digest, parseDigest } from '../../src/registry/digest.ts'
import { digestOf } from '../../src/registry/hasher.ts'
import { mediaTypes } from '../../src/registry/media-type.ts'
import { parseRepositoryName, type RepositoryName } from '../../src/registry/name.ts'
import { unwrap } from '../../src/registry/result.ts'
import { parseTag, type Tag } from '../../src/registry/tag.ts'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Buffer
  readonly text: string
  // Answers are what the tests look at: their shape is asserted, not assumed.
  readonly json: unknown
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string | number>>
  readonly body?: string | Uint8Array | readonly Uint8Array[]
  /** Sends the body with `Transfer-Encoding: chunked`. */
  readonly isChunked?: boolean
}

export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly [field: string]: unknown
}

export class RegistryClient {
  readonly port: number
  readonly #host: string
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 })

  constructor(port: number, host = '127.0.0.1') {
    this.port = port
    this.#host = host
  }

  request(method: string, target: string, options: RequestOptions = {}): Promise<Answer> {
    const parts = bodyParts(options.body)
    const length = parts.reduce((sum, part) => sum + part.byteLength, 0)
    const framing: Record<string, string | number> = options.isChunked
      ? { 'Transfer-Encoding': 'chunked' }
      : options.body === undefined && (method === 'GET' || method === 'HEAD')
        ? {}
        : { 'Content-Length': length }
    return new Promise((resolve, reject) => {
      const outgoing = send({
        host: this.#host,
        port: this.port,
        agent: this.#agent,
        method,
        path: target,
        headers: { ...framing, ...options.headers },
      })
      outgoing.on('error', reject)
      outgoing.on('response', (incoming) => readAnswer(incoming).then(resolve, reject))
      for (const part of parts) outgoing.write(part)
      outgoing.end()
    })
  }

  get(target: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.request('GET', target, { headers })
  }

  head(target: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.request('HEAD', target, { headers })
  }

  delete(target: string): Promise<Answer> {
    return this.request('DELETE', target)
  }

  /** Opens a session; its Location. */
  async open(repository: string, query = ''): Promise<string> {
    const answer = await this.request('POST', `/v2/${repository}/blobs/uploads/${query}`)
    expectStatus(answer, 202, 'opening an upload')
    return answer.headers['location']!
  }

  /** POST then PUT of everything; the blob's descriptor. */
  async pushBlob(
    repository: string,
    content: string | Uint8Array,
    algorithm: Algorithm = 'sha256',
  ): Promise<Descriptor> {
    const body = Buffer.from(content)
    const digest = digestOf(algorithm, body)
    const location = await this.open(repository)
    const answer = await this.request('PUT', `${location}?digest=${digest}`, { body })
    expectStatus(answer, 201, 'pushing a blob')
    return { mediaType: 'application/octet-stream', digest, size: body.byteLength }
  }

  /** PUT of a manifest: an object is serialised, bytes and text go as they are. */
  putManifest(
    repository: string,
    reference: string,
    manifest: object | string | Uint8Array,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const isRaw = typeof manifest === 'string' || manifest instanceof Uint8Array
    const body = isRaw ? manifest : JSON.stringify(manifest)
    const type = isRaw ? undefined : (manifest as { mediaType?: string }).mediaType
    const all: Record<string, string> = { ...(type === undefined ? {} : { 'Content-Type': type }) }
    return this.request('PUT', `/v2/${repository}/manifests/${reference}`, {
      headers: { ...all, ...headers },
      body,
    })
  }

  /** A pushed image of one small config and the given layers; tagged when `tag` is given. */
  async pushImage(
    repository: string,
    tag: string | undefined,
    fields: Readonly<Record<string, unknown>> = {},
  ): Promise<Descriptor> {
    const config = { ...(await this.pushBlob(repository, '{}')), mediaType: 'application/x.config' }
    const manifest = imageManifest(config, [], fields)
    const bytes = Buffer.from(JSON.stringify(manifest))
    const digest = digestOf('sha256', bytes)
    const answer = await this.putManifest(repository, tag ?? digest, bytes)
    expectStatus(answer, 201, 'pushing an image')
    return { mediaType: mediaTypes.ociManifest, digest, size: bytes.byteLength }
  }

  close(): void {
    this.#agent.destroy()
  }
}

export function imageManifest(
  config: Descriptor,
  layers: readonly Descriptor[],
  fields: Readonly<Record<string, unknown>> = {},
) {
  return { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers, ...fields }
}

export function imageIndex(
  manifests: readonly Descriptor[],
  fields: Readonly<Record<string, unknown>> = {},
) {
  return { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests, ...fields }
}

export function sha256(content: string | Uint8Array): Digest {
  return digestOf('sha256', Buffer.from(content))
}

/** Order of ASCII texts as bytes: for `sort`. */
export const inByteOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Branded values of texts that a test knows to be right. */
export const asDigest = (text: string): Digest => unwrap(parseDigest(text))
export const asName = (text: string): RepositoryName => unwrap(parseRepositoryName(text))
export const asTag = (text: string): Tag => unwrap(parseTag(text))

export interface ErrorEntry {
  readonly code: string
  readonly message: string
  readonly detail: unknown
}

/** The entries of an error body, whose shape every refusal must have. */
export function errorsOf(answer: Answer): readonly ErrorEntry[] {
  return (answer.json as { errors: ErrorEntry[] }).errors
}

/** `status code` of a refusal: what most tests compare. */
export function refusal(answer: Answer): string {
  return `${answer.status} ${errorsOf(answer)[0]?.code}`
}

/** The target of a `Link: <…>; rel="next"`; undefined without one. */
export function nextOf(answer: Answer): string | undefined {
  const link = answer.headers['link']
  if (link === undefined) return undefined
  const match = /^<([^>]+)>; rel="next"$/.exec(link)
  if (match === null) throw new Error(`not a Link to a next page: ${link}`)
  return match[1]
}

/** Follows Link to the end; the answers in order. A list that never ends fails. */
export async function followPages(client: RegistryClient, target: string): Promise<Answer[]> {
  const answers: Answer[] = []
  let next: string | undefined = target
  while (next !== undefined) {
    const answer = await client.get(next)
    expectStatus(answer, 200, `listing ${next}`)
    answers.push(answer)
    if (answers.length > 1000) throw new Error('the list never ends')
    next = nextOf(answer)
  }
  return answers
}

export function expectStatus(answer: Answer, status: number, what: string): void {
  if (answer.status === status) return
  throw new Error(`${what}: ${answer.status} instead of ${status}: ${answer.text.slice(0, 500)}`)
}

/** Bytes without a pattern that compression or repetition could hide; the same for a seed. */
export function someBytes(count: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(count)
  let state = (seed * 2654435761) >>> 0 || 1
  for (let index = 0; index < count; index += 1) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[index] = state & 255
  }
  return bytes
}

function bodyParts(body: RequestOptions['body']): readonly Uint8Array[] {
  if (body === undefined) return []
  if (typeof body === 'string') return [Buffer.from(body)]
  return body instanceof Uint8Array ? [body] : body
}

async function readAnswer(incoming: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks)
  return {
    status: incoming.statusCode ?? 0,
    headers: incoming.headers as Record<string, string | undefined>,
    body,
    get text() {
      return body.toString('utf8')
    },
    get json(): unknown {
      return JSON.parse(body.toString('utf8'))
    },
  }
}
