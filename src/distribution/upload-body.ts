/**
 * @module The body of an upload request, as the use cases see it. `HttpRequest` of the engine port
 * is one; tests make their own.
 */

export interface UploadBody {
  /** Content-Length; undefined when unknown (chunked). */
  readonly bodyBytes: number | undefined
  /** Streams the body; chunks are valid only during the call. Rejects when the client leaves. */
  readBody(onChunk: (bytes: Uint8Array) => void): Promise<void>
  pause(): void
  resume(): void
}

/** A whole small body in memory. Throws what `onTooLarge` makes as soon as the bound is passed. */
export async function readWhole(
  body: UploadBody,
  bytesMax: number,
  onTooLarge: () => Error,
): Promise<Uint8Array> {
  if (body.bodyBytes !== undefined && body.bodyBytes > bytesMax) throw onTooLarge()
  const chunks: Uint8Array[] = []
  let total = 0
  await body.readBody((bytes) => {
    total += bytes.byteLength
    if (total > bytesMax) throw onTooLarge()
    chunks.push(bytes.slice())
  })
  return joinBytes(chunks, total)
}

/** Chunks as one array of exactly their length (nothing shares its buffer). */
export function joinBytes(chunks: readonly Uint8Array[], totalBytes: number): Uint8Array {
  if (chunks.length === 1 && chunks[0]!.byteLength === totalBytes) return chunks[0]!
  const whole = new Uint8Array(totalBytes)
  let offset = 0
  for (const chunk of chunks) {
    whole.set(chunk, offset)
    offset += chunk.byteLength
  }
  return whole
}
