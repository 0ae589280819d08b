/**
 * @module A body that counts its bytes and keeps to a rate. Whatever it takes is passed on immediately;
 * what it took beyond the rate is waited for before the next piece.
 */
import type { Rate } from '../runtime/token-bucket.ts'
import type { AnswerBody } from './answer.ts'

/** Longest wait of one timer, ms: a longer one is no number that a timer takes, and would be over at once. */
const timerMsMax = 60_000

/**
 * `onBytes` is told how many bytes have come, for each piece. `askAgainMs`: how soon the rate is asked again
 * whether there still is something to wait for.
 */
export function ratedBody(
  body: AnswerBody,
  rate: Pick<Rate, 'take'>,
  onBytes: (count: number) => void,
  askAgainMs = timerMsMax,
): AnswerBody {
  let isPausedByReader = false
  let isPausedByRate = false
  const goOnIn = (waitMs: number) => {
    setTimeout(
      () => {
        const leftMs = waitMs > askAgainMs ? rate.take(0) : 0
        if (leftMs > 0) return goOnIn(leftMs)
        isPausedByRate = false
        if (!isPausedByReader) body.resume()
      },
      Math.min(waitMs, askAgainMs),
    )
  }
  return {
    read: (onChunk) =>
      body.read((bytes) => {
        onBytes(bytes.byteLength)
        const waitMs = rate.take(bytes.byteLength)
        if (waitMs > 0 && !isPausedByRate) {
          isPausedByRate = true
          body.pause()
          goOnIn(waitMs)
        }
        onChunk(bytes)
      }),
    pause: () => {
      isPausedByReader = true
      body.pause()
    },
    resume: () => {
      isPausedByReader = false
      if (!isPausedByRate) body.resume()
    },
    abort: () => body.abort(),
  }
}
