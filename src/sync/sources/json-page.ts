/**
 * @module A page of a list as a stranger sends it: JSON of bounded size, read entry by entry, so that the
 * event loop has its turns. What is not looked for is not read.
 */
import { UpstreamError } from '../../upstream/error.ts'
import {
  decode,
  elementsOf,
  type Member,
  membersOf,
  type Piece,
  Turns,
} from '../../upstream/json-pieces.ts'

/** Largest page, bytes: some registries put all that they know of every manifest beside the tags. */
export const pageBytesMax = 16 * 1024 * 1024

/** Largest entry of a list, and the largest of other values, bytes. */
const entryBytesMax = 256 * 1024
const valueBytesMax = 16 * 1024

/** Members of the object that a page is. */
const membersMax = 256

/** Entries of one page. */
const entriesMax = 200_000

export class JsonPage {
  readonly #bytes: Buffer
  readonly #members = new Map<string, Member>()

  /** Throws `garbage` for what is neither an object nor an array; an array is the list `''`. */
  constructor(bytes: Buffer) {
    this.#bytes = bytes
    if (bytes.toString('latin1', 0, 64).trimStart().startsWith('[')) {
      this.#members.set('', { name: '', start: 0, end: bytes.byteLength })
      return
    }
    let count = 0
    for (const member of membersOf(bytes)) {
      count += 1
      if (count > membersMax) throw garbage(`an object of more than ${membersMax} members`)
      // A name that is too long to be looked for is empty.
      if (member.name !== '') this.#members.set(member.name, member)
    }
  }

  has(name: string): boolean {
    return this.#members.has(name)
  }

  /** A small member; undefined where there is none, or it is large. */
  value(name: string): unknown {
    const member = this.#members.get(name)
    if (member === undefined || member.end - member.start > valueBytesMax) return undefined
    return decode(this.#bytes, member)
  }

  /** The entries of a list; none where a `null` stands. Throws `garbage` where there is no list. */
  async *list(name: string): AsyncGenerator<unknown> {
    for await (const piece of this.#pieces(elementsOf(this.#bytes, this.#member(name)))) {
      yield decode(this.#bytes, piece)
    }
  }

  /** The members of an object, with their names. Throws `garbage` where there is no object. */
  async *object(name: string): AsyncGenerator<readonly [string, unknown]> {
    for await (const piece of this.#pieces(membersOf(this.#bytes, this.#member(name).start))) {
      yield [piece.name, decode(this.#bytes, piece)]
    }
  }

  #member(name: string): Member {
    const member = this.#members.get(name)
    if (member === undefined) throw garbage(`an answer without ${name}`)
    return member
  }

  /** In turns with others, within bounds. */
  async *#pieces<P extends Piece>(pieces: Iterable<P>): AsyncGenerator<P> {
    const turns = new Turns()
    let count = 0
    for (const piece of pieces) {
      count += 1
      const bytes = piece.end - piece.start
      if (count > entriesMax) throw garbage(`a page of more than ${entriesMax} entries`)
      if (bytes > entryBytesMax) throw garbage('a list with an entry that is too large')
      yield piece
      await turns.spend(bytes)
    }
  }
}

function garbage(what: string): UpstreamError {
  return new UpstreamError('garbage', `upstream sends ${what}`)
}

/** The fields of an entry; none of what is no object. */
export function fieldsOf(entry: unknown): Readonly<Record<string, unknown>> {
  return typeof entry === 'object' && entry !== null ? (entry as Record<string, unknown>) : {}
}

/** A text that is no longer than so many characters. */
export function textOf(value: unknown, lengthMax = 256): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= lengthMax ? value : undefined
}

/** The last second that a date can be of. */
const secondsMax = 8.64e12

/** ms of a time in seconds since 1970. */
export function msOfSeconds(value: unknown): number | undefined {
  const isTime = typeof value === 'number' && value >= 0 && value <= secondsMax
  return isTime ? Math.floor(value) * 1000 : undefined
}

/** ms of a date as text (RFC 3339, RFC 2822). */
export function msOfDate(value: unknown): number | undefined {
  const ms = Date.parse(textOf(value, 64) ?? '')
  return Number.isNaN(ms) ? undefined : ms
}
