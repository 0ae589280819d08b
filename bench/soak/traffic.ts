/**
 * @module Traffic as a build farm and its worse days make it: pushes, pulls, ranges, lists, deletes,
 * uploads that nobody finishes, clients that leave in the middle. From a seed and over a bounded set
 * of content, so that a long run fills no disk.
 */
import { contentOf, withDigest } from '../macro/content.ts'
import { HttpConnection, type Target } from '../macro/http-client.ts'
import { buildImage, type Image, manifestType, smallImage } from '../macro/images.ts'
import { pushBlob, pushImage } from '../macro/push.ts'
import { type Draw, seededDraw } from '../macro/random.ts'

export interface Tally {
  requests: number
  pushes: number
  pulls: number
  deletes: number
  abandoned: number
  errors: number
  firstError: string
}

const repositories = 20
const images = 120
const largeBytes = 24 * 1024 * 1024
const largeBlobs = 8

/** Between two operations of a lane, ms: a long run is to last, not to saturate. */
const pauseMs = 4

/**
 * Between two uploads that are left to expire, ms: their number is compared, so it must not follow from how
 * fast the machine happens to be.
 */
const abandonEveryMs = 200

export class Traffic {
  readonly tally: Tally = {
    requests: 0,
    pushes: 0,
    pulls: 0,
    deletes: 0,
    abandoned: 0,
    errors: 0,
    firstError: '',
  }
  readonly #target: Target
  readonly #seed: number
  readonly #images: readonly Image[]
  readonly #large: readonly ReturnType<typeof withDigest>[]
  #latenciesMs: number[] = []
  #nextAbandonAt = 0

  constructor(target: Target, seed: number) {
    this.#target = target
    this.#seed = seed
    this.#images = Array.from({ length: images }, (_, index) => buildImage(smallImage(index + 1)))
    this.#large = Array.from({ length: largeBlobs }, (_, index) =>
      withDigest({ seed: 7_000_000 + index, sizeBytes: largeBytes }),
    )
  }

  /** One lane of operations until `untilMs` on the monotonic clock. */
  async run(lane: number, untilMs: number): Promise<void> {
    const draw = seededDraw(this.#seed + lane)
    let connection = await HttpConnection.open(this.#target)
    while (performance.now() < untilMs) {
      try {
        await this.#operate(draw, connection)
      } catch (error) {
        this.tally.errors += 1
        this.tally.firstError ||= String(error)
        connection.close()
        connection = await HttpConnection.open(this.#target)
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
    connection.close()
  }

  /** 99th percentile of the small requests since the last call. */
  takeP99(): number {
    const sorted = this.#latenciesMs.sort((a, b) => a - b)
    this.#latenciesMs = []
    return sorted[Math.floor(sorted.length * 0.99)] ?? 0
  }

  #operate(draw: Draw, connection: HttpConnection): Promise<void> {
    const repository = `soak/r${Math.floor(draw() * repositories)}`
    const image = this.#images[Math.floor(draw() * images)]!
    const dice = draw()
    if (dice < 0.2) return this.#push(connection, repository, image)
    if (dice < 0.55) return this.#pull(draw, connection, repository, image)
    if (dice < 0.63) return this.#delete(draw, connection, repository, image)
    if (dice < 0.73) return this.#largeBlob(draw, connection, repository)
    if (dice < 0.8 && this.#mayAbandon()) return this.#abandon(draw, connection, repository)
    if (dice < 0.85) return this.#leave(draw, repository)
    return this.#list(draw, connection, repository)
  }

  #mayAbandon(): boolean {
    const now = performance.now()
    if (now < this.#nextAbandonAt) return false
    this.#nextAbandonAt = now + abandonEveryMs
    return true
  }

  async #push(connection: HttpConnection, repository: string, image: Image): Promise<void> {
    this.tally.requests += await pushImage(connection, repository, image)
    this.tally.pushes += 1
  }

  async #pull(draw: Draw, connection: HttpConnection, repository: string, image: Image) {
    const reply = await this.#ask(connection, 'GET', `/v2/${repository}/manifests/${image.tag}`)
    if (reply === 404) return
    for (const { digest } of image.blobs) {
      const headers = draw() < 0.3 ? { Range: 'bytes=100-999' } : {}
      await this.#ask(connection, 'GET', `/v2/${repository}/blobs/${digest}`, headers)
    }
    this.tally.pulls += 1
  }

  async #delete(draw: Draw, connection: HttpConnection, repository: string, image: Image) {
    const reference = draw() < 0.5 ? image.tag : image.digest
    await this.#ask(connection, 'DELETE', `/v2/${repository}/manifests/${reference}`)
    this.tally.deletes += 1
  }

  async #largeBlob(draw: Draw, connection: HttpConnection, repository: string): Promise<void> {
    const blob = this.#large[Math.floor(draw() * largeBlobs)]!
    const path = `/v2/${repository}/blobs/${blob.digest}`
    if ((await this.#ask(connection, 'GET', path)) === 404) {
      await pushBlob(connection, repository, blob)
      this.tally.pushes += 1
    }
  }

  /** A session that is left to expire, or cancelled. */
  async #abandon(draw: Draw, connection: HttpConnection, repository: string): Promise<void> {
    const path = `/v2/${repository}/blobs/uploads/`
    const opened = await connection.request({ method: 'POST', path, bodyBytes: 0 })
    const location = opened.headers.get('location')
    if (opened.status !== 202 || location === undefined) throw new Error(`POST ${opened.status}`)
    const sizeBytes = draw() < 0.5 ? 3000 : 300_000
    await connection.request({
      method: 'PATCH',
      path: location,
      body: contentOf({ seed: 1, sizeBytes }),
      bodyBytes: sizeBytes,
    })
    if (draw() < 0.5) await connection.request({ method: 'DELETE', path: location })
    this.tally.abandoned += 1
    this.tally.requests += 2
  }

  /** Gone in the middle of a download. */
  async #leave(draw: Draw, repository: string): Promise<void> {
    const blob = this.#large[Math.floor(draw() * largeBlobs)]!
    const connection = await HttpConnection.open(this.#target)
    const path = `/v2/${repository}/blobs/${blob.digest}`
    await connection.request({ method: 'GET', path, stopsAtFirstByte: true })
    connection.close()
  }

  async #list(draw: Draw, connection: HttpConnection, repository: string): Promise<void> {
    const path = draw() < 0.5 ? `/v2/${repository}/tags/list?n=50` : '/v2/_catalog?n=50'
    await this.#ask(connection, 'GET', path)
  }

  /** The status; anything but a success or a plain "not there" is an error. */
  async #ask(
    connection: HttpConnection,
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    const asked = { Accept: manifestType, ...headers }
    const reply = await connection.request({ method, path, headers: asked })
    this.tally.requests += 1
    if (reply.bodyBytes < 100_000) this.#latenciesMs.push(reply.totalMs)
    if (reply.status >= 400 && reply.status !== 404) {
      throw new Error(`${method} ${path} gave ${reply.status}`)
    }
    return reply.status
  }
}
