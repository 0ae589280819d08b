/** @module A reader of server-sent events over a real socket. */
import { type ClientRequest, get, type IncomingMessage } from 'node:http'
import { until } from './in-process.ts'

export interface SentEvent {
  readonly id: number | undefined
  readonly event: string | undefined
  readonly data: Record<string, unknown> | undefined
}

export class EventReader {
  readonly #request: ClientRequest
  readonly response: Promise<IncomingMessage>
  #text = ''
  hasEnded = false

  constructor(port: number, path: string, headers: Readonly<Record<string, string>> = {}) {
    let resolve!: (response: IncomingMessage) => void
    let reject!: (error: Error) => void
    this.response = new Promise((good, bad) => {
      resolve = good
      reject = bad
    })
    // Some tests only look at the status.
    this.response.catch(() => undefined)
    const options = { host: '127.0.0.1', port, path, headers, agent: false as const }
    this.#request = get(options, (response) => {
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        this.#text += text
      })
      response.on('error', () => undefined)
      response.on('close', () => {
        this.hasEnded = true
      })
      resolve(response)
    })
    this.#request.on('error', reject)
  }

  get text(): string {
    return this.#text
  }

  /** What has come so far, comments left out. */
  get events(): SentEvent[] {
    const whole = this.#text.split('\n\n').slice(0, -1)
    return whole.flatMap((piece) => {
      const fields = new Map(
        piece.split('\n').flatMap((line) => {
          const [, name, value] = /^(\w+): (.*)$/.exec(line) ?? []
          return name === undefined ? [] : [[name, value!] as const]
        }),
      )
      const data = fields.get('data')
      if (data === undefined) return []
      const id = fields.get('id')
      return [
        {
          id: id === undefined ? undefined : Number(id),
          event: fields.get('event'),
          data: JSON.parse(data) as Record<string, unknown>,
        },
      ]
    })
  }

  async untilEvents(count: number): Promise<SentEvent[]> {
    await until(() => this.events.length >= count)
    return this.events
  }

  close(): void {
    this.#request.destroy()
  }
}
