/**
 * @module A flood of wrong passwords at a steady rate, each another one. Runs in a client's worker
 * thread of the lowest priority, so that its own work does not stand between a probe and its answer:
 * what it costs the server is measured, not what it costs the client beside it.
 */
import { lowerPriority } from '../../src/runtime/priority.ts'
import type { Metrics } from '../statistics.ts'
import { HttpConnection, type Target } from './http-client.ts'

export interface FloodPlan {
  readonly kind: 'flood'
  readonly target: Target
  readonly connections: number
  readonly path: string
  readonly user: string
  readonly perSecond: number
  readonly seconds: number
}

export async function runFlood(plan: FloodPlan): Promise<Metrics> {
  lowerPriority()
  const { connections, seconds } = plan
  const startedAt = performance.now()
  const end = startedAt + seconds * 1000
  const lanes = Array.from({ length: connections }, (_, lane) => runLane(plan, lane, end))
  const counts = await Promise.all(lanes)
  const sum = (pick: 'requests' | 'errors') => counts.reduce((all, one) => all + one[pick], 0)
  return {
    seconds: (performance.now() - startedAt) / 1000,
    requests: sum('requests'),
    errors: sum('errors'),
    bytes: 0,
  }
}

/** An error is an answer that is no refusal: somebody was let in. */
async function runLane(
  { target, connections, path, user, perSecond }: FloodPlan,
  lane: number,
  end: number,
) {
  const everyMs = (1000 * connections) / perSecond
  let connection = await HttpConnection.open(target)
  let next = performance.now() + (everyMs * lane) / connections
  let requests = 0
  let errors = 0
  while (next < end) {
    const wait = next - performance.now()
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    next += everyMs
    const wrong = Buffer.from(`${user}:${lane}-${requests}`).toString('base64')
    const headers = { Authorization: `Basic ${wrong}` }
    requests += 1
    try {
      if (!connection.isOpen) connection = await HttpConnection.open(target)
      const { status } = await connection.request({ method: 'GET', path, headers })
      if (status !== 401 && status !== 503) errors += 1
    } catch {
      errors += 1
    }
  }
  connection.close()
  return { requests, errors }
}
