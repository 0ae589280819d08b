/**
 * @module A response whose every head carries some more headers: the namespace that a request named,
 * how old an answer is. Heads that are sent again and again are made once.
 */
import { type ByteSource, type HttpResponse, ResponseHead } from './engine/port.ts'
import type { HeaderList } from './respond.ts'

/** Adds the same headers to any number of responses. */
export class HeaderAdder {
  readonly #headers: HeaderList
  readonly #made = new WeakMap<ResponseHead, ResponseHead>()

  constructor(headers: HeaderList) {
    this.#headers = headers
  }

  wrap(response: HttpResponse): HttpResponse {
    return new HeadedResponse(response, this)
  }

  add(head: ResponseHead): ResponseHead {
    let made = this.#made.get(head)
    if (made === undefined) {
      made = new ResponseHead(head.status, [...head.headers, ...this.#headers])
      this.#made.set(head, made)
    }
    return made
  }
}

class HeadedResponse implements HttpResponse {
  readonly #response: HttpResponse
  readonly #adder: HeaderAdder

  constructor(response: HttpResponse, adder: HeaderAdder) {
    this.#response = response
    this.#adder = adder
  }

  get state(): HttpResponse['state'] {
    return this.#response.state
  }

  get status(): number {
    return this.#response.status
  }

  get bytesSent(): number {
    return this.#response.bytesSent
  }

  get bytesFetched(): number {
    return this.#response.bytesFetched
  }

  send(head: ResponseHead, body: string | Uint8Array): void {
    this.#response.send(this.#adder.add(head), body)
  }

  sendHead(head: ResponseHead, sizeBytes: number | undefined): void {
    this.#response.sendHead(this.#adder.add(head), sizeBytes)
  }

  stream(head: ResponseHead, source: ByteSource): void {
    this.#response.stream(this.#adder.add(head), source)
  }

  startChunked(head: ResponseHead): void {
    this.#response.startChunked(this.#adder.add(head))
  }

  write(bytes: string | Uint8Array): Promise<void> {
    return this.#response.write(bytes)
  }

  end(): void {
    this.#response.end()
  }

  cut(): void {
    this.#response.cut()
  }

  closeAfter(): void {
    this.#response.closeAfter()
  }
}
