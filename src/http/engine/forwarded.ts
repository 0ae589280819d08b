/**
 * @module `Forwarded` (RFC 7239), as proxies write it that do not write `X-Forwarded-*`. Read in one
 * walk over its characters; what is not understood to its end says nothing.
 */

/** What the proxies say of the way of a request. */
export interface Forwarded {
  /** Addresses from the client on, separated by commas; `unknown` where a hop does not say. */
  readonly for: string
  /** As the nearest proxy has written it. */
  readonly proto: string | undefined
  readonly host: string | undefined
}

/** Longest header that is looked at, characters. */
const lengthMax = 8 * 1024

/** Undefined: absent, too long, or not understood. */
export function parseForwarded(header: string | undefined): Forwarded | undefined {
  if (header === undefined || header.length > lengthMax) return undefined
  const elements: Map<string, string>[] = [new Map()]
  let name = ''
  let value: string | undefined
  let at = 0
  const endPair = (): boolean => {
    const key = name.trim().toLowerCase()
    const isEmpty = key === '' && value === undefined
    const isGood = isEmpty || (key !== '' && value !== undefined && !elements.at(-1)!.has(key))
    if (isGood && !isEmpty) elements.at(-1)!.set(key, value!.trim())
    name = ''
    value = undefined
    return isGood
  }
  while (at < header.length) {
    const letter = header[at]!
    at += 1
    if (letter === ',' || letter === ';') {
      if (!endPair()) return undefined
      if (letter === ',') elements.push(new Map())
    } else if (value === undefined) {
      if (letter === '=') value = ''
      else name += letter
    } else if (letter !== '"') {
      value += letter
    } else {
      // A quoted value is the whole value.
      if (value.trim() !== '') return undefined
      value = ''
      for (;;) {
        const quoted = header[at]
        at += 1
        if (quoted === undefined) return undefined
        if (quoted === '"') break
        if (quoted !== '\\') value += quoted
        else {
          value += header[at] ?? ''
          at += 1
        }
      }
      while (header[at] === ' ' || header[at] === '\t') at += 1
      const next = header[at]
      if (next !== undefined && next !== ',' && next !== ';') return undefined
    }
  }
  if (!endPair()) return undefined
  const said = elements.filter((element) => element.size > 0)
  const hops = said.map((element) => element.get('for') ?? 'unknown')
  const nearest = said.at(-1)
  return {
    // A comma in a value would make two hops of one.
    for: hops.map((hop) => (hop.includes(',') ? 'unknown' : hop)).join(','),
    proto: nearest?.get('proto')?.toLowerCase(),
    host: nearest?.get('host'),
  }
}
