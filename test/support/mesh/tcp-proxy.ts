/** @module A TCP proxy whose two directions a test can stop, while both connections stay. */

import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, type Socket } from 'node:net'

export class TcpProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #isStopped = false
  /** Connections that came. */
  count = 0

  private constructor(port: number) {
    this.#server = createServer((from) => {
      this.count += 1
      const to = connect({ host: '127.0.0.1', port })
      this.#pass(from, to)
      this.#pass(to, from)
    })
  }

  static async to(port: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(port)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** From now on the connections that are there carry nothing more; new ones do, after `go`. */
  stop(): void {
    this.#isStopped = true
    for (const socket of this.#sockets) {
      socket.pause()
      socket.removeAllListeners('data')
      socket.removeAllListeners('end')
      socket.removeAllListeners('close')
    }
  }

  go(): void {
    this.#isStopped = false
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    from.on('error', () => to.destroy())
    if (this.#isStopped) return
    from.on('data', (bytes) => to.write(bytes))
    from.on('end', () => to.end())
    from.on('close', () => to.destroy())
  }
}
