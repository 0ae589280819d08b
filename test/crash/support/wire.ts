/**
 * @module How the load talks to the registry: requests whose loss is expected once the process was
 * killed and is a failure before, and bodies that arrive slowly, so that a kill finds them half sent.
 */
import { request as send } from 'node:http'
import { type Answer, RegistryClient, type RequestOptions } from '../../support/registry-client.ts'

/** What no registry may do. Ends the run. */
export class Violation extends Error {}

/** The process was killed while the request was under way. */
export class Killed extends Error {}

/** Longer than any request takes on a busy machine: who waits this long would wait for ever. */
const answerWithinMs = 60_000

export class Wire {
  readonly #client: RegistryClient
  readonly #trace: string[]
  readonly #isKilled: () => boolean

  constructor(port: number, trace: string[], isKilled: () => boolean = () => false) {
    this.#client = new RegistryClient(port)
    this.#trace = trace
    this.#isKilled = isKilled
  }

  /** The answer, whose status must be one of `expected`. */
  async ask(
    method: string,
    target: string,
    expected: readonly number[],
    options: RequestOptions & { readonly isSlow?: boolean } = {},
  ): Promise<Answer> {
    const isSlow = options.isSlow === true && Array.isArray(options.body)
    let answer: Answer
    try {
      const answering = isSlow
        ? this.#sendSlowly(method, target, options)
        : this.#client.request(method, target, options)
      answer = await answeredInTime(answering, `${method} ${target}`)
    } catch (error) {
      if (error instanceof Violation) throw error
      this.#trace.push(`${method} ${target} lost: ${String(error)}`)
      if (this.#isKilled()) throw new Killed()
      throw new Violation(`${method} ${target} was cut off: ${String(error)}`)
    }
    this.#trace.push(`${method} ${target} ${answer.status}`)
    if (expected.includes(answer.status)) return answer
    const text = answer.text.slice(0, 300)
    throw new Violation(`${method} ${target}: ${answer.status}, not ${expected.join('/')}: ${text}`)
  }

  /** Sends each part of the body a few milliseconds after the one before. */
  #sendSlowly(method: string, target: string, options: RequestOptions): Promise<Answer> {
    const parts = options.body as readonly Uint8Array[]
    const length = parts.reduce((sum, part) => sum + part.byteLength, 0)
    return new Promise((resolve, reject) => {
      const outgoing = send({
        host: '127.0.0.1',
        port: this.#client.port,
        method,
        path: target,
        headers: { 'Content-Length': length, ...options.headers },
      })
      outgoing.on('error', reject)
      outgoing.on('response', (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.on('error', reject)
        incoming.on('end', () => {
          const body = Buffer.concat(chunks)
          const headers = incoming.headers as Answer['headers']
          const text = body.toString('utf8')
          resolve({ status: incoming.statusCode ?? 0, headers, body, text, json: undefined })
        })
      })
      let next = 0
      const writeNext = () => {
        const part = parts[next++]
        if (part === undefined) {
          outgoing.end()
          return
        }
        outgoing.write(part)
        setTimeout(writeNext, 4)
      }
      writeNext()
    })
  }

  close(): void {
    this.#client.close()
  }
}

async function answeredInTime<T>(answering: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Violation(`${what} is not answered`)), answerWithinMs)
  })
  return Promise.race([answering, tooLate]).finally(() => clearTimeout(timer))
}
