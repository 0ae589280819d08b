/**
 * @module What an answer to a GET of a blob says of the bytes that follow.
 */
import { type Answer, type AnswerBody, lengthOf, partOf } from './answer.ts'

export interface BlobAnswer {
  /** The byte of the blob with which the body begins; undefined where the answer does not say it. */
  readonly offset: number | undefined
  /** How long the whole blob is; undefined where the answer does not say it. */
  readonly sizeBytes: number | undefined
  /** The answer does not promise the rest of the blob up to its last byte. */
  readonly isPart?: boolean
  readonly body: AnswerBody
}

/** `body`: the answer's own, or one that keeps to a rate. */
export function blobAnswerOf(answer: Answer, body: AnswerBody = answer.body): BlobAnswer {
  if (answer.status !== 206) return { offset: 0, sizeBytes: lengthOf(answer), body }
  const part = partOf(answer)
  const isPart = part === undefined || part.last + 1 !== part.totalBytes
  return { offset: part?.first, sizeBytes: part?.totalBytes, isPart, body }
}
