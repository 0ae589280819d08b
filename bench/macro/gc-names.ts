/**
 * @module Names and content in the store that is collected: whoever fills a peer with the same must
 * know them.
 */

export const gcRepository = (index: number): string => `gc/r${String(index).padStart(6, '0')}`

export const gcTag = (index: number): string => `v${index}`

/** Every second one, where half is garbage. */
export const isGarbageManifest = (index: number): boolean => index % 2 === 1

/** One of the ten blobs of a manifest: of its own, and of some hundred bytes. */
export function gcBlobBytes(manifest: number, place: number): Uint8Array {
  return Buffer.from(`blob ${place} of manifest ${manifest}, `.padEnd(200 + place * 40, 'x'))
}
