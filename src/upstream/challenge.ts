/**
 * @module `WWW-Authenticate` as registries send it (RFC 9110, section 11.6.1): several challenges on
 * one line, quoted or not, in any case. Read in one pass, because any host that an upstream names
 * can send it.
 */

export interface BearerChallenge {
  readonly scheme: 'bearer'
  readonly realm: string
  readonly service: string | undefined
  readonly scope: string | undefined
}

export type Challenge = { readonly scheme: 'basic' } | BearerChallenge

/** Longest header that is read, characters. */
const headerLengthMax = 4096

/** The challenges of a header that we can answer, Bearer first; none where there are no such. */
export function parseChallenges(header: string | undefined): Challenge[] {
  if (header === undefined || header.length > headerLengthMax) return []
  const found: Challenge[] = []
  for (const { scheme, parameters } of split(header)) {
    const realm = parameters.get('realm')
    if (scheme === 'basic') found.push({ scheme })
    if (scheme === 'bearer' && realm !== undefined) {
      const service = parameters.get('service')
      found.unshift({ scheme, realm, service, scope: parameters.get('scope') })
    }
  }
  return found
}

interface Named {
  readonly scheme: string
  readonly parameters: Map<string, string>
}

/** A word is the name of a parameter when `=` follows it, else the scheme of the next challenge. */
function split(header: string): Named[] {
  const reader = new Reader(header)
  const all: Named[] = []
  while (!reader.isAtEnd) {
    const word = reader.word().toLowerCase()
    if (word === '') {
      reader.skip()
      continue
    }
    if (!reader.takes('=')) {
      all.push({ scheme: word, parameters: new Map() })
      continue
    }
    const value = reader.value()
    const parameters = all.at(-1)?.parameters
    // The first counts: a second realm must not win over what a proxy in between has looked at.
    if (parameters !== undefined && !parameters.has(word)) parameters.set(word, value)
  }
  return all
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#text.length
  }

  skip(): void {
    this.#at += 1
  }

  /** Letters, digits, `_`, `-`; empty where there are none. Blanks before it are read over. */
  word(): string {
    this.#skipBlanks()
    const from = this.#at
    while (!this.isAtEnd && isWordCode(this.#text.charCodeAt(this.#at))) this.#at += 1
    return this.#text.slice(from, this.#at)
  }

  takes(character: string): boolean {
    this.#skipBlanks()
    if (this.#text[this.#at] !== character) return false
    this.#at += 1
    return true
  }

  value(): string {
    this.#skipBlanks()
    if (this.#text[this.#at] === '"') return this.#quoted()
    const from = this.#at
    while (!this.isAtEnd && !/[\s,"]/.test(this.#text[this.#at]!)) this.#at += 1
    return this.#text.slice(from, this.#at)
  }

  #quoted(): string {
    let value = ''
    this.#at += 1
    while (!this.isAtEnd && this.#text[this.#at] !== '"') {
      if (this.#text[this.#at] === '\\') this.#at += 1
      value += this.#text[this.#at] ?? ''
      this.#at += 1
    }
    this.#at += 1
    return value
  }

  #skipBlanks(): void {
    while (this.#text[this.#at] === ' ' || this.#text[this.#at] === '\t') this.#at += 1
  }
}

function isWordCode(code: number): boolean {
  const isDigit = code >= 0x30 && code <= 0x39
  const isLetter = (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a)
  return isDigit || isLetter || code === 0x5f || code === 0x2d
}
