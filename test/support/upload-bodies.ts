/** @module Bodies of upload requests as the use cases see them, made by hand. */
import type { UploadBody } from '../../src/distribution/upload/body.ts'

export interface BodyOptions {
  /** Content-Length; by default unknown. */
  readonly bodyBytes?: number | undefined
  /** Thrown after the chunks: a client that left. */
  readonly error?: Error
  /** Waited for before the first chunk. */
  readonly gate?: Promise<void>
}

export function bodyOf(chunks: readonly Uint8Array[], options: BodyOptions = {}): UploadBody {
  return {
    bodyBytes: options.bodyBytes,
    async readBody(onChunk) {
      await options.gate
      for (const chunk of chunks) {
        onChunk(chunk)
        await new Promise((resolve) => setImmediate(resolve))
      }
      if (options.error !== undefined) throw options.error
    },
    pause() {},
    resume() {},
  }
}

export const emptyBody = (): UploadBody => bodyOf([], { bodyBytes: 0 })

export function wholeBody(bytes: Uint8Array): UploadBody {
  return bodyOf([bytes], { bodyBytes: bytes.byteLength })
}
