/**
 * @module How deep a JSON text nests, counted before it is parsed: a hostile document must not
 * reach code that walks it.
 */

/**
 * Throws a SyntaxError when arrays and objects nest deeper than `depthMax`. Linear, no recursion.
 * It looks at UTF-8 as it came, so that a text that is refused never becomes a string: what it looks
 * for is ASCII, which no byte of a longer character is.
 */
export function checkDepth(utf8: Uint8Array, depthMax: number): void {
  let depth = 0
  let isInString = false
  for (let index = 0; index < utf8.length; index += 1) {
    const code = utf8[index]
    if (isInString) {
      if (code === 0x5c) index += 1
      else if (code === 0x22) isInString = false
    } else if (code === 0x22) isInString = true
    else if (code === 0x7b || code === 0x5b) {
      depth += 1
      if (depth > depthMax) throw new SyntaxError(`nested deeper than ${depthMax} levels`)
    } else if (code === 0x7d || code === 0x5d) depth -= 1
  }
}
