/**
 * @module A blob as the other members have it: what a fill is fed from. It goes on at another member where one breaks
 * off; who sent wrong bytes is asked no more.
 */

import type { FillAnswer, FillBody, FillSource } from '../../blobs/fill/source.ts'
import type { Time } from '../../metadata/log/etcd/time.ts'
import type { Digest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import { MeshError } from '../identity/problem.ts'
import type { AskPeers, PeerAnswer } from './ask.ts'
import { firstAnswer, NoAnswer } from './first-answer.ts'
import { copiesSilent } from './refusals.ts'

/** Without the head of an answer for so long the next member is asked too, ms. */
const hedgeMs = 300

export interface PeerSourceParts {
  readonly ask: Pick<AskPeers, 'open'>
  readonly time: Time
  readonly digest: Digest
  readonly sizeBytes: number
  /** The other members, best first; undefined: they are not known, or none may be asked any more. */
  readonly members: () => readonly number[] | undefined
  /** Members whose copy is not what it should be: shared by all who fetch the blob. */
  readonly bad: Set<number>
  /** A member has sent wrong bytes. */
  readonly onBad: (member: number) => void
  /** Every other member says that it has no copy. */
  readonly onNone: () => void
}

export class PeerSource implements FillSource {
  readonly #parts: PeerSourceParts
  #last: number | undefined
  #body: FillBody | undefined

  constructor(parts: PeerSourceParts) {
    this.#parts = parts
  }

  /** Throws BLOB_UNKNOWN, BUSY: no repetition helps at once. */
  async open(offset: number): Promise<FillAnswer> {
    const answer = await this.#ask(offset)
    this.#last = answer.sender
    this.#body = answer.body
    return answer
  }

  /** The same for another reader: what comes of it is no matter of the fill. */
  openAside(offset: number): Promise<FillAnswer> {
    return this.#ask(offset)
  }

  async #ask(offset: number): Promise<PeerAnswer> {
    const { ask, time, digest, sizeBytes, bad, onNone } = this.#parts
    const all = this.#parts.members()
    if (all === undefined) throw copiesSilent(digest)
    const members = all.filter((member) => !bad.has(member))
    try {
      const { answer } = await firstAnswer(members, {
        // Where one has sent wrong bytes each answers for itself.
        ask: (one) => ask.open(one, digest, offset, bad.size === 0),
        drop: ({ body }) => body.abort(),
        hedgeMs,
        time,
      })
      if (answer.sizeBytes === sizeBytes) return answer
      answer.body.abort()
      this.#refuse(answer.sender)
      const text = `member ${answer.sender} has ${answer.sizeBytes} bytes`
      throw new MeshError('message', text)
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error
      const isNone = error.errors.every((one) => one instanceof MeshError && one.problem === 'blob')
      if (!isNone) throw copiesSilent(digest, error)
      if (members.length === all.length) onNone()
      throw new RegistryError('BLOB_UNKNOWN', { detail: { digest }, cause: error })
    }
  }

  /** Ends what is under way. */
  stop(): void {
    this.#body?.abort()
  }

  async size(): Promise<number> {
    return this.#parts.sizeBytes
  }

  fault(kind: 'garbage' | 'reset', message: string): MeshError {
    if (kind === 'garbage' && this.#last !== undefined) this.#refuse(this.#last)
    return new MeshError(kind === 'garbage' ? 'message' : 'silent', message)
  }

  #refuse(member: number): void {
    this.#parts.bad.add(member)
    this.#parts.onBad(member)
  }

  /** Other members may do better. */
  judge(error: unknown): { readonly error: Error; readonly isPassing: boolean } {
    const known = error instanceof Error ? error : new Error(String(error))
    return { error: known, isPassing: !(known instanceof RegistryError) }
  }
}
