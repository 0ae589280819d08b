/**
 * @module Parts of a blob as sources of their own: one span, or several as `multipart/byteranges`
 * (RFC 9110 §14.6). Parts keep the order and the number asked for: containers/image counts them.
 */
import type { ByteSpan } from '../registry/range.ts'
import { formatContentRange } from '../registry/range.ts'
import type { ByteSource } from './engine/port.ts'

/** One span of a source. Closing it closes the source. */
export class SpanSource implements ByteSource {
  readonly #source: ByteSource
  readonly #span: ByteSpan

  constructor(source: ByteSource, span: ByteSpan) {
    this.#source = source
    this.#span = span
  }

  get sizeBytes(): number {
    return this.#span.length
  }

  get fetchedBytes(): number {
    return this.#source.fetchedBytes ?? 0
  }

  get lasts(): boolean {
    return this.#source.lasts === true
  }

  ready(offset: number, length: number): number | Promise<void> {
    const within = Math.min(length, this.#span.length - offset)
    return this.#source.ready(this.#span.offset + offset, within)
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    return this.#source.use(this.#span.offset + offset, length, callback)
  }

  close(): void {
    this.#source.close()
  }
}

/** Bytes that stand between the parts, or a part of the blob. */
type Piece =
  | { readonly kind: 'text'; readonly start: number; readonly bytes: Uint8Array }
  | { readonly kind: 'span'; readonly start: number; readonly span: ByteSpan }

/** A plain token: some clients do not unquote it. It cannot occur in a header of ours. */
const boundary = 'fastregistry-byteranges-3d6b6a416f9b5'

export function multipartType(token: string): string {
  return `multipart/byteranges; boundary=${token}`
}

/** Several spans with the texts between them, of a total size that is known beforehand. */
export class MultipartSource implements ByteSource {
  readonly boundary = boundary
  readonly sizeBytes: number
  readonly #source: ByteSource
  readonly #pieces: readonly Piece[]
  #current = 0

  constructor(source: ByteSource, spans: readonly ByteSpan[]) {
    this.#source = source
    const pieces: Piece[] = []
    let start = 0
    const addText = (text: string) => {
      const bytes = Buffer.from(text, 'latin1')
      pieces.push({ kind: 'text', start, bytes })
      start += bytes.byteLength
    }
    spans.forEach((span, index) => {
      const contentRange = formatContentRange(span, source.sizeBytes)
      addText(
        `${index === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Type: application/octet-stream\r\n` +
          `Content-Range: ${contentRange}\r\n\r\n`,
      )
      pieces.push({ kind: 'span', start, span })
      start += span.length
    })
    addText(`\r\n--${boundary}--\r\n`)
    this.#pieces = pieces
    this.sizeBytes = start
  }

  get fetchedBytes(): number {
    return this.#source.fetchedBytes ?? 0
  }

  get lasts(): boolean {
    return this.#source.lasts === true
  }

  ready(offset: number, length: number): number | Promise<void> {
    const piece = this.#seek(offset)
    const within = offset - piece.start
    if (piece.kind === 'text') return Math.min(length, piece.bytes.byteLength - within)
    const wanted = Math.min(length, piece.span.length - within)
    return this.#source.ready(piece.span.offset + within, wanted)
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    const piece = this.#seek(offset)
    const within = offset - piece.start
    if (piece.kind === 'text') return callback(piece.bytes.subarray(within, within + length))
    return this.#source.use(piece.span.offset + within, length, callback)
  }

  /** The piece that holds `offset`. Offsets only grow, so the search goes on where it stood. */
  #seek(offset: number): Piece {
    while (
      this.#current + 1 < this.#pieces.length &&
      this.#pieces[this.#current + 1]!.start <= offset
    ) {
      this.#current += 1
    }
    return this.#pieces[this.#current]!
  }

  close(): void {
    this.#source.close()
  }
}
