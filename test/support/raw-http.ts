/**
 * @module A client that speaks HTTP/1.1 in raw bytes over a real socket, so that tests can send
 * what no client library would: half requests, bad framing, several requests in one packet. Reads
 * are explicit: nothing is taken from the socket before a test asks (that is a slow reader).
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface RawHead {
  readonly status: number
  /** By lower-case name; repeated lines are joined by `, `. */
  readonly headers: ReadonlyMap<string, string>
  /** Status line and headers as they came. */
  readonly text: string
}

export interface RawResponse extends RawHead {
  readonly body: Buffer
}

export interface RawOptions {
  readonly host?: string
  /** TLS without checking the certificate. */
  readonly isTls?: boolean
  /** Protocols that a TLS client offers (ALPN); none as it comes. */
  readonly alpn?: readonly string[]
}

/** The connection ended before what was asked for had arrived. */
export class ConnectionEnded extends Error {
  readonly received: Buffer
  constructor(received: Buffer) {
    super(`connection ended after ${received.length} further bytes: ${received.subarray(0, 200)}`)
    this.received = received
  }
}

export class RawClient {
  /** Resolves when the connection is closed, however. */
  readonly closed: Promise<void>
  isClosed = false
  readonly socket: Socket
  /** The connection beneath TLS; without it the socket itself. */
  private readonly wire: Socket
  private pending: Buffer = Buffer.alloc(0)

  private constructor(socket: Socket, wire: Socket) {
    this.socket = socket
    this.wire = wire
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.isClosed = true
        resolve()
      })
    })
  }

  static connect(port: number, options: RawOptions = {}): Promise<RawClient> {
    const target = { port, host: options.host ?? '127.0.0.1', noDelay: true }
    return new Promise((resolve, reject) => {
      const wire = connect(target)
      const socket =
        options.isTls === true
          ? connectTls({
              socket: wire,
              rejectUnauthorized: false,
              ...(options.alpn === undefined ? {} : { ALPNProtocols: [...options.alpn] }),
            })
          : wire
      socket.once('error', reject)
      socket.once(options.isTls === true ? 'secureConnect' : 'connect', () => {
        socket.pause()
        resolve(new RawClient(socket, wire))
      })
    })
  }

  /** Sends bytes (text is latin1); resolves when the kernel took them all. */
  send(bytes: string | Uint8Array): Promise<void> {
    const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
    return new Promise((resolve, reject) => {
      this.socket.write(data, (error) => (error ? reject(error) : resolve()))
    })
  }

  /** Sends a request without a body, `Host` included; `headers` are whole lines. */
  request(method: string, target: string, headers: readonly string[] = []): Promise<void> {
    const lines = [`${method} ${target} HTTP/1.1`, 'Host: test', ...headers]
    return this.send(`${lines.join('\r\n')}\r\n\r\n`)
  }

  /** The next response; `method` HEAD means that no body follows whatever the length says. */
  async readResponse(method = 'GET'): Promise<RawResponse> {
    const head = await this.readHead()
    return { ...head, body: await this.readBody(head, method) }
  }

  async readHead(): Promise<RawHead> {
    const text = (await this.readUntil('\r\n\r\n')).toString('latin1')
    const lines = text.trimEnd().split('\r\n')
    const headers = new Map<string, string>()
    for (const line of lines.slice(1)) {
      const colon = line.indexOf(':')
      const name = line.slice(0, colon).toLowerCase()
      const value = line.slice(colon + 1).trim()
      const before = headers.get(name)
      headers.set(name, before === undefined ? value : `${before}, ${value}`)
    }
    return { status: Number(lines[0]?.split(' ')[1]), headers, text }
  }

  private async readBody(head: RawHead, method: string): Promise<Buffer> {
    if (method === 'HEAD' || head.status < 200 || head.status === 204 || head.status === 304) {
      return Buffer.alloc(0)
    }
    if (head.headers.get('transfer-encoding') === 'chunked') return this.readChunks()
    const length = head.headers.get('content-length')
    return length === undefined ? this.readToEnd() : this.readBytes(Number(length))
  }

  private async readChunks(): Promise<Buffer> {
    const chunks: Buffer[] = []
    for (;;) {
      const size = Number.parseInt((await this.readUntil('\r\n')).toString('latin1'), 16)
      chunks.push(await this.readBytes(size))
      await this.readBytes(2)
      if (size === 0) return Buffer.concat(chunks)
    }
  }

  async readBytes(count: number): Promise<Buffer> {
    const parts: Buffer[] = [this.pending]
    let have = this.pending.length
    while (have < count) {
      const chunk = await this.readChunk()
      if (chunk === undefined) {
        this.pending = Buffer.alloc(0)
        throw new ConnectionEnded(Buffer.concat(parts))
      }
      parts.push(chunk)
      have += chunk.length
    }
    const all = Buffer.concat(parts)
    this.pending = all.subarray(count)
    return all.subarray(0, count)
  }

  /** Everything up to the end of the connection. */
  async readToEnd(): Promise<Buffer> {
    const parts: Buffer[] = [this.pending]
    this.pending = Buffer.alloc(0)
    for (;;) {
      const chunk = await this.readChunk()
      if (chunk === undefined) return Buffer.concat(parts)
      parts.push(chunk)
    }
  }

  /** Leaves at once, without a goodbye (RST): what a killed client looks like. */
  abort(): void {
    this.wire.resetAndDestroy()
    this.socket.destroy()
  }

  close(): void {
    this.socket.destroy()
  }

  private async readUntil(mark: string): Promise<Buffer> {
    for (;;) {
      const at = this.pending.indexOf(mark)
      if (at >= 0) {
        const found = this.pending.subarray(0, at + mark.length)
        this.pending = this.pending.subarray(at + mark.length)
        return found
      }
      const chunk = await this.readChunk()
      if (chunk === undefined) throw new ConnectionEnded(this.pending)
      this.pending = Buffer.concat([this.pending, chunk])
    }
  }

  /** The next piece from the socket; undefined at the end of the connection. */
  private readChunk(): Promise<Buffer | undefined> {
    const { socket } = this
    return new Promise((resolve) => {
      const ready = socket.read() as Buffer | null
      if (ready !== null) {
        resolve(ready)
        return
      }
      if (this.isClosed || socket.readableEnded) {
        resolve(undefined)
        return
      }
      const settle = (chunk: Buffer | undefined) => {
        socket.off('readable', onReadable)
        socket.off('end', onEnd)
        socket.off('close', onEnd)
        resolve(chunk)
      }
      const onReadable = () => {
        const chunk = socket.read() as Buffer | null
        if (chunk !== null) settle(chunk)
      }
      const onEnd = () => settle(undefined)
      socket.on('readable', onReadable)
      socket.on('end', onEnd)
      socket.on('close', onEnd)
    })
  }
}

/** One request on a connection of its own. */
export async function fetchRaw(
  port: number,
  method: string,
  target: string,
  headers: readonly string[] = [],
  options: RawOptions = {},
): Promise<RawResponse> {
  const client = await RawClient.connect(port, options)
  try {
    await client.request(method, target, headers)
    return await client.readResponse(method)
  } finally {
    client.close()
  }
}
