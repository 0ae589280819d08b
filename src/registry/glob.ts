/**
 * @module Globs over repository names and tags: the one grammar of access rules, clean-up and mirrors.
 *
 *   *      any characters of one path component       ?        one of them
 *   **     any characters, slashes too                [abc] [a-z] [!a]   one of these, none of these
 *   {a,b}  one of these, which may hold globs and braces
 *
 * `**` as a whole component with a slash behind it is any number of components, none included. Everything
 * else stands for itself. A glob means the whole name. Matching takes time in proportion to the product
 * of both lengths, whatever they hold: who writes the glob is not who writes the name.
 */
import { fail, ok, type Result } from './result.ts'

/** Longest glob, characters. */
export const globLengthMax = 512

export type Matcher = (text: string) => boolean

/** What a state of the automaton consumes; undefined: nothing. */
type Consumes = ((code: number) => boolean) | undefined

interface State {
  readonly consumes: Consumes
  /** States that follow: behind the character, or at once where it consumes nothing. */
  readonly next: number[]
}

const slash = '/'.charCodeAt(0)
const anything: Consumes = () => true
const withinComponent: Consumes = (code) => code !== slash

/** The compiled glob, or what is wrong with it in words. */
export function compileGlob(glob: string): Result<Matcher, string> {
  if (glob.length > globLengthMax) return fail(`longer than ${globLengthMax} characters`)
  // What most rules say needs no automaton.
  if (glob === '**') return ok(() => true)
  if (!/[*?{}[\]]/.test(glob)) return ok((text) => text === glob)
  const stem = glob.slice(0, -2)
  if (glob.endsWith('/**') && !/[*?{}[\]]/.test(stem)) {
    return ok((text) => text.startsWith(stem))
  }
  const compiler = new Compiler(glob)
  const problem = compiler.compile()
  return problem === undefined ? ok(compiler.matcher()) : fail(problem)
}

/** Whether any fits; an empty list fits nothing. Throws on a glob that was not checked before. */
export function anyGlob(globs: readonly string[]): Matcher {
  const matchers = globs.map((glob) => {
    const compiled = compileGlob(glob)
    if (!compiled.ok) throw new TypeError(`glob ${glob}: ${compiled.error}`)
    return compiled.value
  })
  return (text) => matchers.some((fits) => fits(text))
}

/** Thompson's construction: a fragment has one entry, and its exit is the state that comes next. */
class Compiler {
  readonly #glob: string
  readonly #states: State[] = []
  #at = 0
  /** Whether what comes next begins a component. */
  #isAtStart = true

  constructor(glob: string) {
    this.#glob = glob
  }

  /** What is wrong with the glob; undefined when nothing is. */
  compile(): string | undefined {
    try {
      this.#sequence(false)
      // The last state, which nothing follows, is the end of a match.
      this.#add(undefined)
      return undefined
    } catch (error) {
      if (error instanceof SyntaxError) return error.message
      throw error
    }
  }

  matcher(): Matcher {
    return simulate(this.#states)
  }

  /** Up to the end, or to the comma or brace that ends an alternative. */
  #sequence(isInBraces: boolean): void {
    while (this.#at < this.#glob.length) {
      const character = this.#glob[this.#at]!
      if (isInBraces && (character === ',' || character === '}')) return
      this.#at += 1
      if (character === '*') this.#star()
      else if (character === '{') this.#braces()
      else this.#character(character)
    }
    if (isInBraces) throw new SyntaxError('braces do not match')
  }

  #character(character: string): void {
    if (character === '?') this.#one(withinComponent)
    else if (character === '[') this.#one(this.#class())
    else if (character === '}') throw new SyntaxError('braces do not match')
    else if (character === ']') throw new SyntaxError('"]" without "["')
    else this.#one(equals(character.charCodeAt(0)))
    this.#isAtStart = character === '/'
  }

  #add(consumes: Consumes, next: number[] = []): number {
    this.#states.push({ consumes, next })
    return this.#states.length - 1
  }

  #one(consumes: Consumes): void {
    const state = this.#add(consumes)
    this.#states[state]!.next.push(state + 1)
  }

  #star(): void {
    const isDouble = this.#glob[this.#at] === '*'
    // Three and more are two.
    while (this.#glob[this.#at] === '*') this.#at += 1
    const isWhole = isDouble && this.#isAtStart && this.#glob[this.#at] === '/'
    this.#isAtStart = isWhole
    if (!isWhole) {
      this.#loop(isDouble ? anything : withinComponent)
      return
    }
    this.#at += 1
    const fork = this.#add(undefined)
    this.#states[fork]!.next.push(fork + 1)
    this.#loop(anything)
    this.#one(equals(slash))
    this.#states[fork]!.next.push(this.#states.length)
  }

  #loop(consumes: Consumes): void {
    const fork = this.#add(undefined)
    const body = this.#add(consumes)
    this.#states[fork]!.next.push(body, body + 1)
    this.#states[body]!.next.push(fork)
  }

  #braces(): void {
    const fork = this.#add(undefined)
    const exits: number[] = []
    const isAtStart = this.#isAtStart
    while (true) {
      this.#isAtStart = isAtStart
      this.#states[fork]!.next.push(this.#states.length)
      this.#sequence(true)
      exits.push(this.#add(undefined))
      const character = this.#glob[this.#at]
      this.#at += 1
      if (character === '}') break
    }
    for (const exit of exits) this.#states[exit]!.next.push(this.#states.length)
    this.#isAtStart = false
  }

  #class(): Consumes {
    const end = this.#glob.indexOf(']', this.#at)
    const isNegated = this.#glob[this.#at] === '!'
    const body = this.#glob.slice(isNegated ? this.#at + 1 : this.#at, end)
    if (end < 0) throw new SyntaxError('"[" without "]"')
    if (body === '') throw new SyntaxError('"[]" has no characters')
    this.#at = end + 1
    const ranges: (readonly [number, number])[] = []
    for (let at = 0; at < body.length; at += 1) {
      const isRange = body[at + 1] === '-' && at + 2 < body.length
      const first = body.charCodeAt(at)
      const last = isRange ? body.charCodeAt(at + 2) : first
      if (last < first) throw new SyntaxError(`"${body}" has a range that is no range`)
      ranges.push([first, last])
      if (isRange) at += 2
    }
    return (code) =>
      code !== slash && ranges.some(([first, last]) => code >= first && code <= last) !== isNegated
  }
}

function equals(wanted: number): Consumes {
  return (code) => code === wanted
}

/**
 * Follows all states at once, each of them once a character. The lists are used again and again: a match
 * allocates nothing.
 */
function simulate(states: readonly State[]): Matcher {
  const end = states.length - 1
  const markedAt = new Float64Array(states.length)
  const waiting = new Int32Array(states.length)
  let now = new Int32Array(states.length)
  let then = new Int32Array(states.length)
  let count = 0
  let mark = 0
  /** Adds what is reached from these without a character to `then`. */
  const reach = (from: readonly number[]) => {
    let depth = 0
    const wait = (state: number) => {
      if (markedAt[state] === mark) return
      markedAt[state] = mark
      waiting[depth] = state
      depth += 1
    }
    for (const state of from) wait(state)
    while (depth > 0) {
      depth -= 1
      const state = waiting[depth]!
      const { consumes, next } = states[state]!
      if (consumes === undefined && next.length > 0) for (const it of next) wait(it)
      else {
        then[count] = state
        count += 1
      }
    }
  }
  const step = () => {
    mark += 1
    const reached = count
    count = 0
    const spare = now
    now = then
    then = spare
    return reached
  }
  return (text) => {
    count = 0
    mark += 1
    reach([0])
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at)
      const reached = step()
      for (let index = 0; index < reached; index += 1) {
        const { consumes, next } = states[now[index]!]!
        if (consumes?.(code) === true) reach(next)
      }
      if (count === 0) return false
    }
    for (let index = 0; index < count; index += 1) if (then[index] === end) return true
    return false
  }
}
