/**
 * @module What a witness says of itself to who looks after its process: whether it runs, and whether its etcd serves. A
 * plain HTTP server for two paths; nothing else is answered.
 */
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { formatAddress, type ListenAddress } from '../../../config/address.ts'

/** Who looks asks once and goes. */
const connectionsMax = 32
const headMs = 5_000
const headBytesMax = 4_096

export class WitnessHealth {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  /** Resolves when it listens. Rejects with what the system says of the address. */
  static async listen(at: ListenAddress, isServing: () => boolean): Promise<WitnessHealth> {
    const server = createServer(
      {
        headersTimeout: headMs,
        requestTimeout: headMs,
        connectionsCheckingInterval: 1_000,
        maxHeaderSize: headBytesMax,
        keepAlive: false,
      },
      ({ method, url }, response) => {
        // What it sends is not read.
        response.setHeader('Connection', 'close')
        if (method !== 'GET' && method !== 'HEAD')
          return say(response, 405, { status: 'no such method' })
        if (url === '/livez') return say(response, 200, { status: 'live' })
        if (url !== '/readyz') return say(response, 404, { status: 'no such path' })
        const isReady = isServing()
        const etcd = isReady ? 'ok' : 'does not serve'
        const status = isReady ? 'ready' : 'not ready'
        return say(response, isReady ? 200 : 503, { status, checks: { etcd } })
      },
    )
    server.maxConnections = connectionsMax
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const reason = error.code === 'EADDRINUSE' ? 'is in use by another process' : error.message
        reject(new Error(`mesh.witness_addr: ${formatAddress(at)} ${reason}`, { cause: error }))
      })
      const { host, port } = at
      server.listen(host === '' ? { port } : { host, port }, resolve)
    })
    return new WitnessHealth(server)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }
}

function say(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
  })
  response.end(text)
}
