/**
 * @module A load balancer without any memory: each request goes to the next node, whatever went where before. It
 * passes on what comes as it comes, and what a node answers before it has the whole body.
 */
import {
  Agent,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

export class RoundRobin {
  readonly #server: Server
  readonly #agent = new Agent({ keepAlive: true })
  readonly #ports: readonly number[]
  /** Requests so far. */
  count = 0

  private constructor(ports: readonly number[]) {
    this.#ports = ports
    this.#server = createServer({ requestTimeout: 0 }, (req, res) => this.#pass(req, res))
  }

  /** Listens on a free port in front of these, on 127.0.0.1. */
  static async over(ports: readonly number[]): Promise<RoundRobin> {
    const balancer = new RoundRobin(ports)
    await new Promise<void>((resolve) => balancer.#server.listen(0, '127.0.0.1', resolve))
    return balancer
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    this.#agent.destroy()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #pass(req: IncomingMessage, res: ServerResponse): void {
    const port = this.#ports[this.count % this.#ports.length]!
    this.count += 1
    const { method, url, rawHeaders } = req
    const to = { host: '127.0.0.1', port, agent: this.#agent, method, path: url }
    const asked = request({ ...to, headers: rawHeaders } as object)
    req.on('error', () => asked.destroy())
    res.on('error', () => asked.destroy())
    res.on('close', () => {
      if (!asked.writableFinished || !res.writableFinished) asked.destroy()
    })
    asked.on('error', () => {
      if (res.headersSent) res.destroy()
      // As of a process that was killed: a 502 would be an answer.
      else res.socket?.destroy()
    })
    asked.on('response', (answer) => {
      answer.on('error', () => res.destroy())
      res.writeHead(answer.statusCode!, answer.rawHeaders)
      answer.pipe(res)
    })
    req.pipe(asked)
  }
}
