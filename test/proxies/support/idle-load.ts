/**
 * @module Many connections that are idle most of the time: each sends a request, waits for a while of
 * chance, and sends the next on the same connection. What a client sends into a connection that the
 * registry is closing is lost, and so is a request of a proxy in front of it.
 */
import { Agent, type IncomingMessage, request as send } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

export interface IdleLoad {
  readonly port: number
  readonly connections: number
  readonly requestsEach: number
  /** A gap is between these, in equal chances, ms. */
  readonly gapMsMin: number
  readonly gapMsMax: number
  /** What may be asked: a method, a path, perhaps a body, and the status of a good answer. */
  readonly requests: readonly LoadRequest[]
}

export interface LoadRequest {
  readonly method: string
  readonly path: string
  readonly body?: Buffer
  readonly status: number
}

export interface LoadReport {
  requests: number
  /** Requests on a connection that had been used before. */
  reused: number
  readonly failures: string[]
}

/** Runs the load to its end; a failed request is counted, and its connection goes on. */
export async function runIdleLoad(load: IdleLoad): Promise<LoadReport> {
  const report: LoadReport = { requests: 0, reused: 0, failures: [] }
  const spread = load.gapMsMax - load.gapMsMin
  await Promise.all(
    Array.from({ length: load.connections }, async (_, index) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      await delay(Math.random() * load.gapMsMin)
      for (let round = 0; round < load.requestsEach; round += 1) {
        const wanted = load.requests[(index + round) % load.requests.length]!
        await once(load.port, agent, wanted, report)
        if (round + 1 < load.requestsEach) await delay(load.gapMsMin + Math.random() * spread)
      }
      agent.destroy()
    }),
  )
  return report
}

async function once(port: number, agent: Agent, wanted: LoadRequest, report: LoadReport) {
  report.requests += 1
  try {
    const status = await ask(port, agent, wanted, report)
    if (status === wanted.status) return
    report.failures.push(`${wanted.method} ${wanted.path}: ${status}`)
  } catch (error) {
    report.failures.push(`${wanted.method} ${wanted.path}: ${(error as Error).message}`)
  }
}

function ask(
  port: number,
  agent: Agent,
  { method, path, body }: LoadRequest,
  report: LoadReport,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'Content-Length': body.length }
    const outgoing = send({ host: '127.0.0.1', port, agent, method, path, headers })
    outgoing.on('error', reject)
    outgoing.on('response', (incoming: IncomingMessage) => {
      if (outgoing.reusedSocket) report.reused += 1
      incoming.on('error', reject)
      incoming.on('end', () => resolve(incoming.statusCode ?? 0))
      incoming.resume()
    })
    outgoing.end(body)
  })
}
