/**
 * @module The worker side of `client.ts`: prepares a plan's content, waits for `go`, runs it,
 * answers with metrics.
 */
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { latencyMetrics, type Metrics } from '../statistics.ts'
import type {
  ClientMessage,
  ClientPlan,
  EachOncePlan,
  ImagesPlan,
  ProbePlan,
  PushBlobsPlan,
  TrafficPlan,
} from './client.ts'
import { withDigest } from './content.ts'
import { runFlood } from './flood.ts'
import { HttpConnection } from './http-client.ts'
import { buildImage } from './images.ts'
import { runLoad } from './load-loop.ts'
import { pullImage, pushBlob, pushBlobMonolithic, pushBlobShort, pushImage } from './push.ts'

interface Outcome {
  readonly metrics: Metrics
  readonly digests?: readonly string[]
}

/** Requests that a push of one blob takes, by its way. */
const WAYS = {
  client: { push: pushBlob, requests: 3 },
  short: { push: pushBlobShort, requests: 2 },
  post: { push: pushBlobMonolithic, requests: 1 },
} as const

const plan = workerData as ClientPlan
const port = parentPort!

prepare(plan).then((run) => {
  port.once('message', () => {
    run().then(({ metrics, digests = [] }) => post({ kind: 'done', metrics, digests }), fail)
  })
  post({ kind: 'ready' })
}, fail)

function post(message: ClientMessage): void {
  port.postMessage(message)
}

function fail(error: unknown): void {
  post({ kind: 'failed', message: error instanceof Error ? error.message : String(error) })
}

async function prepare(plan: ClientPlan): Promise<() => Promise<Outcome>> {
  switch (plan.kind) {
    case 'load':
      return async () => ({ metrics: await runLoad(plan) })
    case 'each-once':
      return () => runEachOnce(plan)
    case 'flood':
      return async () => ({ metrics: await runFlood(plan) })
    case 'push-blobs':
      return preparePushBlobs(plan)
    case 'traffic':
      return () => runTraffic(plan)
    case 'probe':
      return () => runProbe(plan)
    case 'push-images':
    case 'pull-images':
      return prepareImages(plan)
  }
}

/** What the connections of one plan have done together. */
class Tally {
  readonly latenciesMs: number[] = []
  readonly firstBytesMs: number[] = []
  readonly #startedAt = performance.now()
  requests = 0
  bytes = 0
  errors = 0
  firstError = ''

  fault(error: unknown): void {
    this.errors += 1
    if (this.firstError !== '') return
    this.firstError = String(error)
    process.stderr.write(`client: ${this.firstError}\n`)
  }

  metrics(): Metrics {
    const { requests, bytes, errors, latenciesMs } = this
    const seconds = (performance.now() - this.#startedAt) / 1000
    return {
      seconds,
      requests,
      bytes,
      errors,
      ...latencyMetrics(latenciesMs),
      ...(this.firstBytesMs.length > 0 ? latencyMetrics(this.firstBytesMs, 'ttfb') : {}),
      spread: Math.max(...latenciesMs.slice(0, 1000)) / Math.min(...latenciesMs.slice(0, 1000)),
    }
  }
}

/** Gives every item to the next free connection; a failed one gets a new connection. */
async function share<T>(
  { target, connections }: ClientPlan,
  next: () => T | undefined,
  act: (connection: HttpConnection, item: T) => Promise<void>,
  tally: Tally,
): Promise<void> {
  const lanes = Array.from({ length: connections }, async () => {
    let connection = await HttpConnection.open(target)
    for (let item = next(); item !== undefined; item = next()) {
      const startedAt = performance.now()
      try {
        if (!connection.isOpen) connection = await HttpConnection.open(target)
        await act(connection, item)
        tally.latenciesMs.push(performance.now() - startedAt)
      } catch (error) {
        tally.fault(error)
        if (tally.errors > 100) break
      }
    }
    connection.close()
  })
  await Promise.all(lanes)
}

function takeInOrder<T>(items: readonly T[]): () => T | undefined {
  let at = 0
  return () => items[at++]
}

/** Until the time is up: pulls go round the images, pushes end when there is no new one left. */
function takeUntil<T>(
  items: readonly T[],
  untilMs: number,
  goesRound: boolean,
): () => T | undefined {
  let at = 0
  return () => {
    if (performance.now() >= untilMs) return undefined
    return goesRound ? items[at++ % items.length] : items[at++]
  }
}

async function runEachOnce(plan: EachOncePlan): Promise<Outcome> {
  const tally = new Tally()
  const { method, headers = {} } = plan
  const get = async (connection: HttpConnection, path: string) => {
    const reply = await connection.request({ method, headers, path })
    if (reply.status >= 300) throw new Error(`${method} ${path} gave ${reply.status}`)
    tally.requests += 1
    tally.bytes += reply.bodyBytes
    tally.firstBytesMs.push(reply.firstByteMs)
  }
  await share(plan, takeInOrder(plan.paths), get, tally)
  return { metrics: tally.metrics() }
}

function preparePushBlobs(plan: PushBlobsPlan): () => Promise<Outcome> {
  const blobs = plan.blobs.map(withDigest)
  const { push, requests } = WAYS[plan.way]
  return async () => {
    const tally = new Tally()
    await share(
      plan,
      takeInOrder(blobs),
      async (connection, blob) => {
        await push(connection, plan.repository, blob)
        tally.requests += requests
        tally.bytes += blob.sizeBytes
      },
      tally,
    )
    return { metrics: tally.metrics(), digests: blobs.map(({ digest }) => digest) }
  }
}

function prepareImages(plan: ImagesPlan): () => Promise<Outcome> {
  const images = plan.images.map(buildImage)
  return async () => {
    const tally = new Tally()
    const { seconds, kind } = plan
    const next =
      seconds === undefined
        ? takeInOrder(images)
        : takeUntil(images, performance.now() + seconds * 1000, kind === 'pull-images')
    let done = 0
    await share(
      plan,
      next,
      async (connection, image) => {
        if (plan.kind === 'push-images') {
          const requests = await pushImage(connection, plan.repository, image)
          tally.requests += requests
          tally.bytes += image.sizeBytes
        } else {
          const bytes = await pullImage(connection, plan.repository, image)
          tally.bytes += bytes
          tally.requests += image.blobs.length + 1
        }
        done += 1
      },
      tally,
    )
    const metrics = { ...tally.metrics(), images: done }
    return { metrics, digests: images.map(({ digest }) => digest) }
  }
}

async function runTraffic(plan: TrafficPlan): Promise<Outcome> {
  const { repository, traffic } = plan
  const tally = new Tally()
  const there = traffic.stock.map(({ digest }) => digest)
  const times = { pull: [] as number[], push: [] as number[] }
  await share(
    plan,
    takeInOrder(traffic.operations),
    async (connection, operation) => {
      const startedAt = performance.now()
      if (operation.kind === 'pull') {
        const digest = there[Math.floor(operation.draw * there.length)]!
        const path = `/v2/${repository}/blobs/${digest}`
        const { status, bodyBytes } = await connection.request({ method: 'GET', path })
        if (status !== 200) throw new Error(`GET ${path} gave ${status}`)
        tally.requests += 1
        tally.bytes += bodyBytes
      } else {
        const { blob } = operation
        await pushBlob(connection, repository, blob)
        there.push(blob.digest)
        tally.requests += WAYS.client.requests
        tally.bytes += blob.sizeBytes
      }
      times[operation.kind].push(performance.now() - startedAt)
    },
    tally,
  )
  const metrics = {
    ...tally.metrics(),
    ...latencyMetrics(times.pull, 'pull'),
    ...latencyMetrics(times.push, 'push'),
    operations: times.pull.length + times.push.length,
  }
  return { metrics }
}

async function runProbe(plan: ProbePlan): Promise<Outcome> {
  const { target, path, headers = {}, everyMs, isKeptOpen } = plan
  raisePriority()
  const tally = new Tally()
  let isEnded = false
  port.once('message', () => {
    isEnded = true
  })
  let kept: HttpConnection | undefined
  while (!isEnded) {
    await new Promise((resolve) => setTimeout(resolve, everyMs))
    try {
      const connection = kept?.isOpen === true ? kept : await HttpConnection.open(target)
      const reply = await connection.request({ method: 'GET', path, headers })
      if (reply.status !== 200) throw new Error(`GET ${path} gave ${reply.status}`)
      tally.firstBytesMs.push(reply.firstByteMs)
      tally.requests += 1
      if (isKeptOpen) kept = connection
      else connection.close()
    } catch (error) {
      tally.fault(error)
    }
  }
  kept?.close()
  return { metrics: tally.metrics() }
}

/** Best effort: a probe that waits for a core itself would measure its own wait. */
function raisePriority(): void {
  try {
    setPriority(0, -10)
  } catch {
    // Only root may; the figures are then a little higher.
  }
}
