/**
 * @module A client's request that another member has handed on, as the handlers of this node see it: what is told
 * of the client comes from the message's head, and the answer goes back behind a head of its own. It is read and
 * written as an exchange of node:http is.
 */

import { encodeHead, type ForwardedRequest, isCarried } from '../../mesh/forward/messages.ts'
import type { Arrived } from '../../mesh/forward/route.ts'
import type { EngineCore } from '../engine/exchange.ts'
import { NodeExchange } from '../engine/node/exchange.ts'
import type { ResponseHead } from '../engine/port.ts'

export class ForwardedExchange extends NodeExchange {
  readonly via: number
  private readonly head: ForwardedRequest

  constructor(core: EngineCore, { head, via, request, response }: Arrived) {
    super(core, head.isTls, request, response, undefined)
    this.via = via
    this.head = head
    this.method = head.method
    this.path = head.path
    this.query = head.query
    this.headers = head.headers.flat()
    this.bodyBytes = head.bodyBytes ?? undefined
  }

  override get id(): string {
    return this.head.id
  }

  override get remoteAddress(): string {
    return this.head.client
  }

  override get scheme(): 'http' | 'https' {
    return this.head.scheme
  }

  override get host(): string {
    return this.head.host
  }

  /** The node in front looks after what follows a body. */
  protected override isFromProxy(): boolean {
    return false
  }

  /** The connection between the two nodes goes on: whether the client's does is in the head. */
  protected override writeHead(head: ResponseHead, sizeBytes: number | undefined): void {
    this.discardBody()
    const frame = encodeHead({
      status: head.status,
      headers: head.headers.map(([name, value]): [string, string] => [name, value]),
      sizeBytes: sizeBytes ?? null,
      isLast: this.closes,
    })
    const bodyBytes = this.hasBody(head) ? sizeBytes : 0
    const length = bodyBytes === undefined ? {} : { 'Content-Length': frame.byteLength + bodyBytes }
    this.res.writeHead(200, { 'Content-Type': 'application/octet-stream', ...length })
    this.res.write(frame)
  }
}

/** The headers of a request that go with it: what is about the client's connection stays behind. */
export function carriedHeaders(headers: readonly string[]): [string, string][] {
  const named = new Set<string>()
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at] !== 'connection') continue
    for (const name of headers[at + 1]!.toLowerCase().split(',')) named.add(name.trim())
  }
  const carried: [string, string][] = []
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    if (isCarried(name) && !named.has(name)) carried.push([name, headers[at + 1]!])
  }
  return carried
}
