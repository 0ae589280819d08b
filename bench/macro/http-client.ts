/**
 * @module A small HTTP/1.1 client on one raw connection: what pushes, pages and probes need, with
 * times of the first and the last byte. One request at a time; bodies of answers are counted and
 * kept only when asked for.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface Target {
  readonly host: string
  readonly port: number
  readonly isTls: boolean
}

export interface Request {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as it is; `bodyBytes` is its length. */
  readonly body?: Iterable<Uint8Array>
  readonly bodyBytes?: number
  /** Keep the answer's body (otherwise it is only counted). */
  readonly keepsBody?: boolean
  /** End the connection with the first byte of the answer: a probe of the time until then. */
  readonly stopsAtFirstByte?: boolean
}

export interface Reply {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly bodyBytes: number
  readonly body: Buffer
  readonly firstByteMs: number
  readonly totalMs: number
}

/** No answer within this time is an error, ms: a stuck server must not hold up a run. */
const patienceMs = 120_000

/**
 * One for all connections of a thread: what was read is looked at before the next read begins. A new
 * buffer for each 64 KiB would cost the client more than the reading itself.
 */
const readBuffer = Buffer.allocUnsafeSlow(256 * 1024)

interface Pending {
  readonly request: Request
  readonly startedAt: number
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
  firstByteMs: number
}

export class HttpConnection {
  readonly #socket: Socket
  readonly #host: string
  readonly #parts: Buffer[] = []
  #pending: Pending | undefined
  #head: Buffer = Buffer.alloc(0)
  #status = 0
  #headers = new Map<string, string>()
  /** Body bytes still to come; -1 while the head is read, -2 for a chunked body. */
  #left = -1
  #bodyBytes = 0
  #error: Error | undefined

  private constructor(target: Target, onOpen: () => void, onRefused: (error: Error) => void) {
    const { host, port, isTls } = target
    this.#host = `${host}:${port}`
    const onread = {
      buffer: readBuffer,
      callback: (length: number, buffer: Uint8Array) => {
        this.#onData((buffer as Buffer).subarray(0, length))
        return true
      },
    }
    const socket = isTls
      ? connectTls({ host, port, rejectUnauthorized: false })
      : connectTcp({ host, port, onread } as never)
    this.#socket = socket
    socket.setNoDelay(true)
    socket.once(isTls ? 'secureConnect' : 'connect', onOpen)
    if (isTls) socket.on('data', (bytes) => this.#onData(bytes))
    socket.on('error', (error) => {
      onRefused(error)
      this.#fail(error)
    })
    socket.on('close', () => this.#fail(new Error('the connection was closed')))
  }

  static open(target: Target): Promise<HttpConnection> {
    return new Promise((resolve, reject) => {
      const connection: HttpConnection = new HttpConnection(
        target,
        () => resolve(connection),
        reject,
      )
    })
  }

  get isOpen(): boolean {
    return this.#error === undefined
  }

  close(): void {
    this.#socket.destroy()
  }

  request(request: Request): Promise<Reply> {
    if (this.#error !== undefined) return Promise.reject(this.#error)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(new Error('no answer in time')), patienceMs)
      const end = <T>(settle: (value: T) => void) => {
        return (value: T) => {
          clearTimeout(timer)
          settle(value)
        }
      }
      const startedAt = performance.now()
      const pending = { request, startedAt, firstByteMs: 0 }
      this.#pending = { ...pending, resolve: end(resolve), reject: end(reject) }
      this.#send(request).catch((error: Error) => this.#fail(error))
    })
  }

  async #send(request: Request): Promise<void> {
    let head = `${request.method} ${request.path} HTTP/1.1\r\nHost: ${this.#host}\r\n`
    for (const [name, value] of Object.entries(request.headers ?? {}))
      head += `${name}: ${value}\r\n`
    if (request.bodyBytes !== undefined) head += `Content-Length: ${request.bodyBytes}\r\n`
    const chunks = request.body?.[Symbol.iterator]()
    const first = chunks?.next()
    if (first === undefined || first.done === true) {
      this.#socket.write(`${head}\r\n`, 'latin1')
      return
    }
    this.#socket.cork()
    this.#socket.write(`${head}\r\n`, 'latin1')
    let hasRoom = this.#socket.write(first.value)
    this.#socket.uncork()
    for (let next = chunks!.next(); next.done !== true; next = chunks!.next()) {
      if (!hasRoom) await this.#drained()
      // An early answer (a refusal) or a lost connection ends the body.
      if (this.#pending?.request !== request) return
      hasRoom = this.#socket.write(next.value)
    }
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#socket.off('drain', done)
        this.#socket.off('close', done)
        resolve()
      }
      this.#socket.on('drain', done)
      this.#socket.on('close', done)
    })
  }

  #onData(bytes: Buffer): void {
    const pending = this.#pending
    if (pending === undefined) return
    if (pending.firstByteMs === 0) pending.firstByteMs = performance.now() - pending.startedAt
    if (this.#left !== -1) return this.#onBody(bytes)
    this.#head = this.#head.length === 0 ? bytes : Buffer.concat([this.#head, bytes])
    const end = this.#head.indexOf('\r\n\r\n')
    if (end === -1) {
      // The next read is into the same buffer.
      this.#head = Buffer.from(this.#head)
      return
    }
    this.#readHead(this.#head.toString('latin1', 0, end))
    const rest = this.#head.subarray(end + 4)
    this.#head = Buffer.alloc(0)
    // An interim answer: the real one follows.
    if (this.#status < 200) return rest.length > 0 ? this.#onData(rest) : undefined
    this.#left = this.#bodyLength(pending.request.method)
    this.#bodyBytes = 0
    if (pending.request.stopsAtFirstByte === true) return this.#finish(pending)
    if (this.#left === 0) return this.#finish(pending)
    if (rest.length > 0) this.#onBody(rest)
  }

  #readHead(text: string): void {
    const lines = text.split('\r\n')
    this.#status = Number(lines[0]!.slice(9, 12))
    this.#headers = new Map(
      lines.slice(1).map((line) => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      }),
    )
  }

  #bodyLength(method: string): number {
    if (method === 'HEAD' || this.#status === 204 || this.#status === 304) return 0
    if (this.#headers.get('transfer-encoding') === 'chunked') return -2
    return Number(this.#headers.get('content-length') ?? 0)
  }

  #onBody(bytes: Buffer): void {
    const pending = this.#pending!
    this.#bodyBytes += bytes.length
    if (pending.request.keepsBody === true || this.#left === -2)
      this.#parts.push(Buffer.from(bytes))
    if (this.#left === -2) {
      // Chunked bodies are small here (lists, errors): the end is where the last chunk is.
      if (bytes.subarray(-5).equals(LAST_CHUNK)) this.#finish(pending)
      return
    }
    this.#left -= bytes.length
    if (this.#left <= 0) this.#finish(pending)
  }

  #finish(pending: Pending): void {
    const isChunked = this.#left === -2
    const raw = Buffer.concat(this.#parts.splice(0))
    this.#pending = undefined
    this.#left = -1
    pending.resolve({
      status: this.#status,
      headers: this.#headers,
      bodyBytes: this.#bodyBytes,
      body: isChunked ? unchunk(raw) : raw,
      firstByteMs: pending.firstByteMs,
      totalMs: performance.now() - pending.startedAt,
    })
    if (pending.request.stopsAtFirstByte === true || this.#headers.get('connection') === 'close') {
      this.#fail(new Error('the connection has ended'))
    }
  }

  #fail(error: Error): void {
    this.#error ??= error
    this.#socket.destroy()
    const pending = this.#pending
    this.#pending = undefined
    pending?.reject(error)
  }
}

const LAST_CHUNK = Buffer.from('0\r\n\r\n')

/** The data of a whole chunked body. */
export function unchunk(raw: Buffer): Buffer {
  const parts: Buffer[] = []
  let at = 0
  while (at < raw.length) {
    const lineEnd = raw.indexOf('\r\n', at)
    const length = Number.parseInt(raw.toString('latin1', at, lineEnd), 16)
    if (!(length > 0)) break
    parts.push(raw.subarray(lineEnd + 2, lineEnd + 2 + length))
    at = lineEnd + 2 + length + 2
  }
  return Buffer.concat(parts)
}
