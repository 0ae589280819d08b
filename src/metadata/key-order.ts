/**
 * @module The ends of ranges of keys. Keys are texts or lists of texts, in the order of their bytes; no
 * component holds U+0001, and none reaches U+10FFFF.
 */

/** Behind every text that a key can hold. */
export const lastText = '\u{10ffff}'

/** The least text after this one and before every longer one. */
export function justAfter(text: string): string {
  return `${text}\u0001`
}

/** The least key after this one. */
export function nextKey(key: string | readonly string[]): string | readonly string[] {
  return typeof key === 'string' ? justAfter(key) : [...key.slice(0, -1), justAfter(key.at(-1)!)]
}
