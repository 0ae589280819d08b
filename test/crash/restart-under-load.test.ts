/**
 * @module SIGTERM while pushes and pulls run, and a start after it, again and again: what was
 * acknowledged is there, what was answered 200 was whole, and a client that tries again succeeds.
 */
import { expect, test } from 'vitest'
import { type Answer, RegistryClient, sha256, someBytes } from '../support/registry-client.ts'
import { type RunningRegistry, startRegistry } from '../support/start-registry.ts'

const restarts = 4
const clients = 6
const seed = Number(process.env['FASTREGISTRY_CRASH_SEED'] ?? Math.floor(Math.random() * 1e6))

/** How long a client goes on trying: a stop waits for what runs, and a start is half a second. */
const patienceMs = 30_000

class Worker {
  readonly acknowledged = new Map<string, Buffer>()
  retries = 0
  readonly #client: RegistryClient
  readonly #number: number

  constructor(registry: RunningRegistry, number: number) {
    this.#client = new RegistryClient(registry.port)
    this.#number = number
  }

  /** Pushes and pulls until it is told that it is over; ends between two operations. */
  async run(isOver: () => boolean): Promise<void> {
    for (let round = 0; !isOver(); round += 1) {
      const size = round % 3 === 0 ? 3_000_000 : 30_000
      const content = someBytes(size, seed + this.#number * 10_000 + round)
      await this.#push(content)
      await this.#pull()
    }
    this.#client.close()
  }

  /** Everything that was acknowledged, byte for byte. */
  async check(client: RegistryClient): Promise<void> {
    for (const [path, content] of this.acknowledged) {
      const answer = await client.get(path)
      expect(answer.status, path).toBe(200)
      expect(answer.body.equals(content), path).toBe(true)
    }
  }

  async #push(content: Buffer): Promise<void> {
    const repository = `load/c${this.#number}`
    const digest = sha256(content)
    // The whole push again, as docker does: a session of its own each time.
    await this.#again(async () => {
      const opened = await this.#client.request('POST', `/v2/${repository}/blobs/uploads/`)
      if (opened.status !== 202) return opened
      const location = opened.headers['location']!
      const patched = await this.#client.request('PATCH', location, { body: content })
      if (patched.status !== 202) return patched
      return this.#client.request('PUT', `${patched.headers['location']}?digest=${digest}`)
    }, 201)
    this.acknowledged.set(`/v2/${repository}/blobs/${digest}`, content)
  }

  async #pull(): Promise<void> {
    const paths = [...this.acknowledged.keys()]
    const path = paths[Math.floor(paths.length / 2)]!
    const answer = await this.#again(() => this.#client.get(path), 200)
    // A 200 that is short or wrong is the one thing that no retry mends.
    expect(answer.body.equals(this.acknowledged.get(path)!), path).toBe(true)
  }

  async #again(attempt: () => Promise<Answer>, wanted: number): Promise<Answer> {
    const deadline = performance.now() + patienceMs
    for (;;) {
      const answer = await attempt().catch((error: unknown) => String(error))
      if (typeof answer !== 'string' && answer.status === wanted) return answer
      const said = typeof answer === 'string' ? answer : `${answer.status} ${answer.text}`
      if (typeof answer !== 'string') expect([404, 503], said).toContain(answer.status)
      if (performance.now() > deadline) throw new Error(`gave up: ${said}`)
      this.retries += 1
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

test(`${restarts} restarts under load, seed ${seed}`, async () => {
  const registry = await startRegistry({ config: { log: { access: false } } })
  let isOver = false
  const workers = Array.from({ length: clients }, (_, number) => new Worker(registry, number))
  const running = Promise.all(workers.map((worker) => worker.run(() => isOver)))
  running.catch(() => undefined)
  try {
    for (let count = 0; count < restarts; count += 1) {
      await new Promise((resolve) => setTimeout(resolve, 700))
      expect(await registry.terminate()).toBe(0)
      await registry.restart()
    }
    isOver = true
    await running
    const client = new RegistryClient(registry.port)
    for (const worker of workers) await worker.check(client)
    client.close()
    const count = (of: (worker: Worker) => number) =>
      workers.reduce((sum, worker) => sum + of(worker), 0)
    console.log(
      `MEASURED restarts: ${restarts}, ${count((it) => it.acknowledged.size)} pushes acknowledged, ${count((it) => it.retries)} attempts repeated`,
    )
  } finally {
    isOver = true
    await registry.stop()
  }
})
