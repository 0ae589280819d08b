/**
 * @module Requests from other loopback addresses than the usual one: for what the registry counts by
 * address. Each on a connection of its own.
 */
import { request as send } from 'node:http'
import type { RegistryClient } from './registry-client.ts'

export interface ShortAnswer {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly milliseconds: number
}

/** GET from `address` (127.0.0.0/8, all of which is this machine). */
export function getFrom(
  client: RegistryClient,
  address: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<ShortAnswer> {
  const startedAt = performance.now()
  return new Promise((resolve, reject) => {
    const outgoing = send({
      host: '127.0.0.1',
      port: client.port,
      localAddress: address,
      path,
      headers,
      agent: false,
    })
    outgoing.on('error', reject)
    outgoing.on('response', (incoming) => {
      incoming.resume()
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          retryAfter: incoming.headers['retry-after'],
          milliseconds: performance.now() - startedAt,
        }),
      )
    })
    outgoing.end()
  })
}
