/**
 * @module The load runner's own client: plans that run in a worker thread, so that the sampling of
 * memory and the probes of the main thread do not wait for it. Used for pushes, HEAD, pages, and
 * for everything where wrk is not installed.
 */
import { Worker } from 'node:worker_threads'
import type { Metrics } from '../statistics.ts'
import type { BlobSpec } from './content.ts'
import type { FloodPlan } from './flood.ts'
import type { Target } from './http-client.ts'
import type { ImageSpec } from './images.ts'
import type { Traffic } from './traffic.ts'

interface Common {
  readonly target: Target
  readonly connections: number
}

/** The same requests over and over, each connection one at a time, for some seconds. */
export interface LoadPlan extends Common {
  readonly kind: 'load'
  readonly method: 'GET' | 'HEAD'
  readonly paths: readonly string[]
  readonly seconds: number
  readonly headers?: Readonly<Record<string, string>>
  /** A Range header for each path. */
  readonly ranges?: readonly string[]
}

/** Each request once, shared by the connections in their order. */
export interface EachOncePlan extends Common {
  readonly kind: 'each-once'
  readonly method: 'GET' | 'HEAD' | 'DELETE'
  readonly paths: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
}

/** `client`: POST, PATCH, PUT as docker does. `short`: POST and PUT. `post`: all in one POST. */
export type PushWay = 'client' | 'short' | 'post'

export interface PushBlobsPlan extends Common {
  readonly kind: 'push-blobs'
  readonly repository: string
  readonly blobs: readonly BlobSpec[]
  readonly way: PushWay
}

export interface ImagesPlan extends Common {
  readonly kind: 'push-images' | 'pull-images'
  readonly repository: string
  readonly images: readonly ImageSpec[]
  /** End after this time; pulls go round the images until then, instead of once. */
  readonly seconds?: number
}

/** Pulls and pushes of a list, each given to the next free connection. */
export interface TrafficPlan extends Common {
  readonly kind: 'traffic'
  readonly repository: string
  readonly traffic: Traffic
}

/** The first byte of one answer, over and over until `end`, on one connection or on a new one each. */
export interface ProbePlan extends Common {
  readonly kind: 'probe'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly everyMs: number
  readonly isKeptOpen: boolean
}

export type ClientPlan =
  | LoadPlan
  | EachOncePlan
  | PushBlobsPlan
  | ImagesPlan
  | FloodPlan
  | TrafficPlan
  | ProbePlan

/** What the worker sends: first that its content is hashed, then what it measured. */
export type ClientMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly metrics: Metrics; readonly digests: readonly string[] }
  | { readonly kind: 'failed'; readonly message: string }

export interface ClientRun {
  /** Starts the clock; resolves with what was measured. */
  go(): Promise<{ readonly metrics: Metrics; readonly digests: readonly string[] }>
  /** Tells a probe that it has seen enough; `go` then resolves. */
  end(): void
}

/** Resolves when the client has prepared its content and waits for `go`. */
export function prepareClient(plan: ClientPlan): Promise<ClientRun> {
  const worker = new Worker(new URL('./client-worker.js', import.meta.url), { workerData: plan })
  let settle: ((message: ClientMessage) => void) | undefined
  const next = () =>
    new Promise<ClientMessage>((resolve) => {
      settle = resolve
    })
  worker.on('message', (message: ClientMessage) => settle?.(message))
  worker.on('error', (error) => settle?.({ kind: 'failed', message: String(error) }))
  const ready = next()
  return ready.then((message) => {
    if (message.kind === 'failed') throw new Error(message.message)
    return {
      end: () => worker.postMessage('end'),
      go: async () => {
        const done = next()
        worker.postMessage('go')
        const result = await done
        await worker.terminate()
        if (result.kind === 'done') return result
        throw new Error(result.kind === 'failed' ? result.message : 'client is confused')
      },
    }
  })
}

export async function runClient(plan: ClientPlan): Promise<Metrics> {
  const run = await prepareClient(plan)
  return (await run.go()).metrics
}
