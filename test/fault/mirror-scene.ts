/**
 * @module One row of the fault table of mirrors: a registry with a mirror of a faulty upstream, some
 * of it stored, some of it not, one blob half there; and what has to be true of each.
 */
import { expect } from 'vitest'
import { type Fault, FaultyUpstream } from '../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess, until } from '../support/in-process.ts'
import type { RawClient } from '../support/raw-http.ts'
import {
  type Answer,
  errorsOf,
  imageManifest,
  sha256,
  someBytes,
} from '../support/registry-client.ts'

export const layers = {
  stored: someBytes(300_000, 1),
  absent: someBytes(400_000, 2),
  half: someBytes(1_200_000, 3),
  /** Lives in the metadata, not in a file. */
  small: someBytes(2_000, 4),
}

export const timeouts = { connect: '500ms', first_byte: '600ms', stall: '500ms' }

/** What is cached is answered within this time whatever upstream does, ms. */
const cachedMs = 1_000

/** A blob that breaks off is given up within this time with the timeouts above, ms. */
const givenUpMs = 20_000

const halfPath = `/v2/hub/app/blobs/${sha256(layers.half)}`

export function manifestOf(seed: string): string {
  const config = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: sha256('{}'),
    size: 2,
  }
  return JSON.stringify(imageManifest(config, [], { annotations: { seed } }))
}

/** Status of a refusal with the kind of failure, or `cut` for an answer that was broken off. */
export async function outcome(work: Promise<Answer>): Promise<string> {
  try {
    const answer = await work
    if (answer.status < 400) return `${answer.status}`
    const [error] = errorsOf(answer)
    if (answer.status > 500) expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    return `${answer.status} ${(error!.detail as { failure?: string } | null)?.failure ?? error!.code}`
  } catch (error) {
    if ((error as Error).name === 'AssertionError') throw error
    return 'cut'
  }
}

/** The answer and how long it took. */
async function timed(work: Promise<Answer>): Promise<Answer & { ms: number }> {
  const started = performance.now()
  const answer = await work
  return Object.assign(answer, { ms: performance.now() - started })
}

/** How long this process did not get a turn, ms: no answer of the registry in it is to blame for that. */
function watchLateness(): () => number {
  let last = performance.now()
  let lateMs = 0
  const timer = setInterval(() => {
    const now = performance.now()
    lateMs += Math.max(0, now - last - 2 * tickMs)
    last = now
  }, tickMs)
  return () => {
    clearInterval(timer)
    return lateMs
  }
}

const tickMs = 10

export class Scene {
  readonly upstream = new FaultyUpstream()
  registry!: InProcessRegistry
  /** Lets go of the connection that holds the second half of a blob back. */
  #cut: (() => void) | undefined

  static async begin(): Promise<Scene> {
    const scene = new Scene()
    await scene.#begin()
    return scene
  }

  async end(): Promise<void> {
    this.upstream.fault = undefined
    this.#cut?.()
    await dispose(this.registry)
    await this.upstream.stop()
  }

  async #begin(): Promise<void> {
    const { upstream } = this
    await upstream.start()
    for (const tag of ['fresh', 'expired', 'never', 'head']) {
      upstream.addManifest('app', tag, manifestOf(tag))
    }
    upstream.addManifest('app', undefined, manifestOf('digest'))
    upstream.addManifest('app', undefined, manifestOf('absent'))
    for (const bytes of Object.values(layers)) upstream.addBlob('app', bytes)
    this.registry = await startInProcess({
      engine: 'uws',
      mirrors: [
        {
          name: 'hub',
          upstream: upstream.url,
          timeouts,
          tags: [{ pattern: 'expired', freshness: 'always' }],
        },
      ],
    })
    const seeded = [
      'manifests/fresh',
      'manifests/expired',
      `manifests/${sha256(manifestOf('digest'))}`,
      `blobs/${sha256(layers.stored)}`,
    ]
    for (const tail of seeded) expect((await this.ask(tail)).status, tail).toBe(200)
    await this.nothingPending()
  }

  ask(tail: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.registry.client.get(`/v2/hub/app/${tail}`, headers)
  }

  async nothingPending(): Promise<void> {
    await until(async () => (await this.registry.uploadFiles()).length === 0)
  }

  /**
   * Begins a pull whose second half upstream holds back, with somebody who joined it; what is there
   * is answered, and so is the length. Returns what becomes of both once upstream has cut it.
   */
  async halfStored(): Promise<{ cut(): Promise<readonly string[]> }> {
    const { upstream, registry } = this
    const isHeld = new Promise<void>((resolve) => {
      upstream.fault = (request, response, content) => {
        if (content?.bytes.byteLength !== layers.half.byteLength) return false
        if (request.method === 'HEAD') return false
        response.writeHead(200, { 'Content-Length': layers.half.byteLength })
        response.write(layers.half.subarray(0, layers.half.byteLength >> 1), () => resolve())
        this.#cut = () => request.socket.destroy()
        return true
      }
    })
    const readers: RawClient[] = [await registry.connect(), await registry.connect()]
    const first = `GET ${halfPath} HTTP/1.1\r\nHost: x\r\n\r\n`
    for (const reader of readers) await reader.send(first)
    await isHeld
    const lateness = watchLateness()
    const part = await timed(registry.client.get(halfPath, { Range: 'bytes=100-199' }))
    expect(part.status).toBe(206)
    expect(part.body).toEqual(layers.half.subarray(100, 200))
    const head = await timed(registry.client.head(halfPath))
    expect(head.headers['content-length']).toBe(String(layers.half.byteLength))
    expect(Math.max(part.ms, head.ms)).toBeLessThan(cachedMs + lateness())
    const cut = async () => {
      const started = performance.now()
      this.#cut?.()
      const ends = await Promise.all(readers.map((reader) => reader.readToEnd()))
      expect(performance.now() - started).toBeLessThan(givenUpMs)
      return ends.map((bytes) => {
        const text = bytes.toString('latin1')
        const bodyBytes = bytes.byteLength - text.indexOf('\r\n\r\n') - 4
        const isShort = text.startsWith('HTTP/1.1 200') && bodyBytes < layers.half.byteLength
        return isShort ? 'cut' : text.slice(0, 100)
      })
    }
    return { cut }
  }

  async expectCachedAnswers(): Promise<void> {
    const { ask, registry } = { ask: this.ask.bind(this), registry: this.registry }
    const stored = `blobs/${sha256(layers.stored)}`
    const lateness = watchLateness()
    const [fresh, expired, digest, blob, range, head, headBlob] = await Promise.all([
      timed(ask('manifests/fresh')),
      timed(ask('manifests/expired')),
      timed(ask(`manifests/${sha256(manifestOf('digest'))}`)),
      timed(ask(stored)),
      timed(ask(stored, { Range: 'bytes=10-19' })),
      timed(registry.client.head('/v2/hub/app/manifests/expired')),
      timed(registry.client.head(`/v2/hub/app/${stored}`)),
    ])
    expect(fresh.text).toBe(manifestOf('fresh'))
    expect(fresh.headers['x-fastregistry-cache']).toBeUndefined()
    expect(expired.text).toBe(manifestOf('expired'))
    expect(expired.headers['x-fastregistry-cache']).toBe('stale')
    expect(expired.headers['warning']).toMatch(/^299 - "/)
    expect(digest.text).toBe(manifestOf('digest'))
    expect(sha256(blob.body)).toBe(sha256(layers.stored))
    expect(range.status).toBe(206)
    expect(range.body).toEqual(layers.stored.subarray(10, 20))
    expect(head.headers['docker-content-digest']).toBe(sha256(manifestOf('expired')))
    expect(headBlob.headers['content-length']).toBe(String(layers.stored.byteLength))
    const lateMs = lateness()
    const all = [fresh, expired, digest, blob, range, head, headBlob]
    expect(Math.max(...all.map(({ ms }) => ms))).toBeLessThan(cachedMs + lateMs)
  }

  async expectNothingWrongStored(): Promise<void> {
    await this.nothingPending()
    expect(await this.registry.blobFiles()).toEqual([sha256(layers.stored).slice(7)])
  }

  async expectHealed(): Promise<void> {
    const started = performance.now()
    const wanted = [
      'manifests/never',
      `manifests/${sha256(manifestOf('absent'))}`,
      ...[layers.absent, layers.half, layers.small].map((bytes) => `blobs/${sha256(bytes)}`),
    ]
    const all = () => Promise.all(wanted.map((tail) => outcome(this.ask(tail))))
    await until(async () => (await all()).every((status) => status === '200'))
    for (const bytes of [layers.absent, layers.half, layers.small]) {
      const blob = await this.ask(`blobs/${sha256(bytes)}`)
      expect(sha256(blob.body)).toBe(sha256(bytes))
    }
    const isFresh = async () =>
      (await this.ask('manifests/expired')).headers['x-fastregistry-cache'] === undefined
    await until(isFresh)
    expect(performance.now() - started).toBeLessThan(20_000)
  }

  /** What every request for something absent comes to. */
  async absent(): Promise<Record<string, string>> {
    const blob = `blobs/${sha256(layers.absent)}`
    const digest = `manifests/${sha256(manifestOf('absent'))}`
    const head = (tail: string) =>
      this.registry.client.head(`/v2/hub/app/${tail}`).then(({ status }) => `${status}`)
    const [tag, byDigest, whole, range, small, headBlob, headTag] = await Promise.all([
      outcome(this.ask('manifests/never')),
      outcome(this.ask(digest)),
      outcome(this.ask(blob)),
      outcome(this.ask(blob, { Range: 'bytes=0-99' })),
      outcome(this.ask(`blobs/${sha256(layers.small)}`)),
      head(blob),
      head('manifests/head'),
    ])
    return { tag, byDigest, whole, range, small, headBlob, headTag }
  }

  use(fault: Fault | undefined): void {
    this.upstream.fault = fault
  }
}
