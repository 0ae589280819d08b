/**
 * @module Names in the store of a million of everything: whoever asks must know what was made.
 */

/** The repository that has all the tags. */
export const tagsRepository = 'scale/tags'

export function scaleTag(index: number): string {
  return `v${String(index).padStart(7, '0')}`
}

export function scaleRepository(index: number): string {
  return `scale/r${String(index).padStart(7, '0')}`
}

/** Content of the one blob of a repository. */
export function scaleBlobBytes(index: number): Uint8Array {
  return Buffer.from(`blob number ${String(index).padStart(7, '0')}, that is all`)
}
