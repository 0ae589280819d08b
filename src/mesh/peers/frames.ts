/**
 * @module What a node says to a peer of itself, over and over: one line for each message, in decimal digits.
 *
 * ```
 * <member> <boot> <visible index>\n
 * ```
 *
 * An empty line says that a node lives: the peer sends it back, and a node that has nothing to report yet.
 */
import { memberMax } from '../identity/authority.ts'
import { MeshError } from '../identity/problem.ts'

export interface Frame {
  readonly member: number
  readonly boot: number
  readonly visible: number
}

export const heartbeat = '\n'

/** Of the longest line, without its end: three numbers of 10, 16 and 16 digits. */
const lineBytesMax = 44

const line = /^(0|[1-9][0-9]{0,15}) (0|[1-9][0-9]{0,15}) (0|[1-9][0-9]{0,15})$/

export function encodeFrame({ member, boot, visible }: Frame): string {
  return `${member} ${boot} ${visible}\n`
}

/** Frames out of the pieces of a stream. */
export class FrameReader {
  #rest = ''

  /** The last frame that ends in this piece: it says all that those before it do. Undefined: none ends in it. */
  read(piece: Uint8Array): Frame | undefined {
    const text = this.#rest + Buffer.from(piece).toString('latin1')
    let last: Frame | undefined
    let from = 0
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', from)) {
      const frame = end === from ? last : parseLine(text.slice(from, end))
      if (last !== undefined && last.member !== frame?.member) {
        throw new MeshError('message', 'a peer speaks for two members')
      }
      last = frame
      from = end + 1
    }
    this.#rest = text.slice(from)
    if (this.#rest.length > lineBytesMax) throw notUnderstood()
    return last
  }

  /** The stream has ended: throws when it did within a frame. */
  end(): void {
    if (this.#rest !== '') throw notUnderstood()
  }
}

function parseLine(text: string): Frame {
  const found = text.length > lineBytesMax ? null : line.exec(text)
  if (found === null) throw notUnderstood()
  const [member, boot, visible] = found.slice(1).map(Number) as [number, number, number]
  const isInRange = member >= 1 && member <= memberMax
  if (!isInRange || !Number.isSafeInteger(boot) || !Number.isSafeInteger(visible)) {
    throw notUnderstood()
  }
  return { member, boot, visible }
}

function notUnderstood(): MeshError {
  return new MeshError('message', 'a peer has sent a line that is no report of a member')
}
