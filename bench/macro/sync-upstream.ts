/**
 * @module The registry that syncs copy from in the bench: a thread that serves images from memory, by the
 * specification and by the API of Quay, to whoever asks, and counts what it was asked for. The worker side is
 * at the end.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { loopback } from './child-process.ts'
import { type Blob, type BlobSpec, contentOf } from './content.ts'
import type { Target } from './http-client.ts'
import { buildImage, manifestType } from './images.ts'
import { seededDraw } from './random.ts'

export const syncOrganization = 'bench'

export interface SyncContent {
  readonly repositories: number
  readonly tagsOfEach: number
  /** Half of the layers are some of so many that all images share. */
  readonly sharedLayers: number
  readonly seed: number
}

interface UpstreamPlan extends SyncContent {
  readonly role: 'sync-upstream'
}

export interface Asked {
  readonly requests: number
  /** Lists: of Quay's API, catalogs, tags. */
  readonly lists: number
  readonly manifests: number
  /** GETs of blobs, and how many blobs these were of. */
  readonly blobGets: number
  readonly blobs: number
}

export interface SyncUpstreamThread {
  readonly target: Target
  readonly url: string
  /** Distinct blobs that there are. */
  readonly blobs: number
  /** What was asked since the last call. */
  asked(): Promise<Asked>
  /** Points one tag at an image that nobody has seen. */
  move(): Promise<void>
  stop(): Promise<void>
}

export async function startSyncUpstream(content: SyncContent): Promise<SyncUpstreamThread> {
  const plan: UpstreamPlan = { role: 'sync-upstream', ...content }
  const worker = new Worker(new URL('./sync-upstream.js', import.meta.url), { workerData: plan })
  const next = <T>() =>
    new Promise<T>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
  const ask = <T>(message: string) => {
    const answer = next<T>()
    worker.postMessage(message)
    return answer
  }
  const { port, blobs } = await next<{ port: number; blobs: number }>()
  return {
    target: { host: loopback, port, isTls: false },
    url: `http://${loopback}:${port}`,
    blobs,
    asked: () => ask<Asked>('asked'),
    move: () => ask('move'),
    stop: async () => {
      await worker.terminate()
    },
  }
}

const layersOfEach = 5
const KiB = 1024

/** Pages of Quay's API. */
const pageRows = 100

/** Nothing was set lately, seconds. */
const longAgo = 1_700_000_000

interface Tagged {
  digest: string
  startTs: number
}

class Content {
  readonly blobs = new Map<string, Blob>()
  readonly manifests = new Map<string, Buffer>()
  /** `bench/r1` → tag → where it points. */
  readonly tags = new Map<string, Map<string, Tagged>>()
  readonly #plan: UpstreamPlan
  #made = 0

  constructor(plan: UpstreamPlan) {
    this.#plan = plan
    for (let number = 0; number < plan.repositories; number += 1) {
      const path = `${syncOrganization}/r${number}`
      const tags = new Map<string, Tagged>()
      for (let tag = 0; tag < plan.tagsOfEach; tag += 1) {
        tags.set(`v${tag}`, { digest: this.#image(), startTs: longAgo })
      }
      this.tags.set(path, tags)
    }
  }

  move(): void {
    const [tags] = this.tags.values()
    tags!.set('v0', { digest: this.#image(), startTs: longAgo + this.#made })
  }

  /** Five layers of 4 to 32 KiB, of which two or three are shared. */
  #image(): string {
    const { seed, sharedLayers } = this.#plan
    const number = this.#made
    this.#made += 1
    const draw = seededDraw(seed + number)
    const shared = (at: number): BlobSpec => ({ seed: seed + at, sizeBytes: (4 + (at % 28)) * KiB })
    const own = (at: number): BlobSpec => ({
      seed: seed + 100_000 + number * 10 + at,
      sizeBytes: Math.floor((4 + draw() * 28) * KiB),
    })
    const sharedCount = 2 + (number % 2)
    const layers = Array.from({ length: layersOfEach }, (_, at) =>
      at < sharedCount ? shared(Math.floor(draw() * sharedLayers)) : own(at),
    )
    const imageConfig = { seed: seed + 100_000 + number * 10 + 9, sizeBytes: 2 * KiB }
    const image = buildImage({ seed, tag: '', layers, imageConfig })
    for (const blob of image.blobs) this.blobs.set(blob.digest, blob)
    this.manifests.set(image.digest, image.manifest)
    return image.digest
  }
}

class Counter {
  #fetched = new Set<string>()
  #counts = { requests: 0, lists: 0, manifests: 0, blobGets: 0 }

  count(of: 'lists' | 'manifests' | 'other'): void {
    this.#counts.requests += 1
    if (of !== 'other') this.#counts[of] += 1
  }

  blob(digest: string, isGet: boolean): void {
    this.#counts.requests += 1
    if (!isGet) return
    this.#counts.blobGets += 1
    this.#fetched.add(digest)
  }

  take(): Asked {
    const asked = { ...this.#counts, blobs: this.#fetched.size }
    this.#counts = { requests: 0, lists: 0, manifests: 0, blobGets: 0 }
    this.#fetched = new Set()
    return asked
  }
}

class Server {
  readonly #content: Content
  readonly #counter: Counter

  constructor(content: Content, counter: Counter) {
    this.#content = content
    this.#counter = counter
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    response.on('error', () => undefined)
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://upstream')
    const path = decodeURIComponent(pathname)
    const isHead = request.method === 'HEAD'
    const send = (status: number, type: string, body: Buffer, digest?: string) => {
      const known = digest === undefined ? {} : { 'Docker-Content-Digest': digest }
      const head = { 'Content-Type': type, 'Content-Length': body.byteLength, ...known }
      response.writeHead(status, head).end(isHead ? undefined : body)
    }
    const json = (value: unknown) =>
      send(200, 'application/json', Buffer.from(JSON.stringify(value)))
    const list = this.#list(path, searchParams)
    if (list !== undefined) {
      this.#counter.count('lists')
      return json(list)
    }
    const match = /^\/v2\/(.+)\/(manifests|blobs|referrers)\/([^/]+)$/.exec(path)
    const [, name = '', what, reference = ''] = match ?? []
    if (what === 'blobs') return this.#blob(reference, isHead, response)
    this.#counter.count(what === 'manifests' ? 'manifests' : 'other')
    if (what === undefined && path === '/v2/') return json({})
    if (what === 'referrers') {
      const type = 'application/vnd.oci.image.index.v1+json'
      const none = { schemaVersion: 2, mediaType: type, manifests: [] }
      return send(200, type, Buffer.from(JSON.stringify(none)))
    }
    const digest = this.#content.tags.get(name)?.get(reference)?.digest ?? reference
    const manifest = this.#content.manifests.get(digest)
    if (manifest === undefined) {
      const code = what === 'manifests' ? 'MANIFEST_UNKNOWN' : 'UNSUPPORTED'
      const errors = [{ code, message: 'not here' }]
      return send(404, 'application/json', Buffer.from(JSON.stringify({ errors })))
    }
    send(200, manifestType, manifest, digest)
  }

  #list(path: string, query: URLSearchParams): object | undefined {
    const all = this.#content.tags
    if (path === '/v2/_catalog') return { repositories: [...all.keys()] }
    if (path === '/api/v1/repository') {
      const from = Number(query.get('next_page') ?? 0)
      const rows = [...all].slice(from, from + pageRows)
      const next = from + pageRows < all.size ? { next_page: String(from + pageRows) } : {}
      return { repositories: rows.map(([name, tags]) => listedRepository(name, tags)), ...next }
    }
    const tags = /^\/v2\/(.+)\/tags\/list$/.exec(path)?.[1]
    if (tags !== undefined) return { name: tags, tags: [...(all.get(tags)?.keys() ?? [])] }
    const quay = /^\/api\/v1\/repository\/(.+)\/tag\/$/.exec(path)?.[1]
    if (quay === undefined) return undefined
    const rows = [...(all.get(quay) ?? [])].sort(
      ([, one], [, other]) => other.startTs - one.startTs,
    )
    return {
      tags: rows.map(([name, { digest, startTs }]) => ({
        name,
        manifest_digest: digest,
        start_ts: startTs,
      })),
      page: 1,
      has_additional: false,
    }
  }

  #blob(digest: string, isHead: boolean, response: ServerResponse): void {
    this.#counter.blob(digest, !isHead)
    const blob = this.#content.blobs.get(digest)
    if (blob === undefined) {
      response.writeHead(404, { 'Content-Length': 0 }).end()
      return
    }
    response.writeHead(200, {
      'Content-Type': 'application/octet-stream',
      'Content-Length': blob.sizeBytes,
      'Docker-Content-Digest': digest,
    })
    if (!isHead) for (const chunk of contentOf(blob)) response.write(chunk)
    response.end()
  }
}

function listedRepository(path: string, tags: ReadonlyMap<string, Tagged>): object {
  const [namespace, name] = path.split('/')
  const modified = Math.max(...[...tags.values()].map(({ startTs }) => startTs))
  return { namespace, name, is_public: true, kind: 'image', last_modified: modified }
}

function serve(plan: UpstreamPlan): void {
  const content = new Content(plan)
  const counter = new Counter()
  const answers = new Server(content, counter)
  const server = createServer((request, response) => answers.answer(request, response))
  server.listen(0, loopback, () => {
    const { port } = server.address() as AddressInfo
    parentPort!.postMessage({ port, blobs: content.blobs.size })
  })
  parentPort!.on('message', (message: string) => {
    if (message === 'move') content.move()
    parentPort!.postMessage(message === 'move' ? undefined : counter.take())
  })
}

const plan = workerData as UpstreamPlan | null
if (!isMainThread && plan?.role === 'sync-upstream') serve(plan)
