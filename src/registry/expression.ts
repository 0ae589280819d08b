/**
 * @module Regular expressions that operators write and strangers' names meet: RE2's grammar, which
 * matches in linear time whatever both say, and look-ahead at the beginning, which RE2 does not have and
 * rules such as "all but `pr-…`" need. The only user of re2js.
 */
import { createRequire } from 'node:module'
import { globLengthMax } from './glob.ts'
import { fail, ok, type Result } from './result.ts'

type Re2 = typeof import('re2js')

/** Loaded when the first expression is compiled: most configurations have none, and it takes 20 ms. */
let loaded: Re2 | undefined
const re2 = (): Re2 => {
  loaded ??= createRequire(import.meta.url)('re2js') as Re2
  return loaded
}

/** Whether the expression fits the whole text. Throws nothing; what is wrong with it comes in words. */
export function compileExpression(source: string): Result<(text: string) => boolean, string> {
  if (source.length > globLengthMax) return fail(`longer than ${globLengthMax} characters`)
  const { RE2JS } = re2()
  const conditions: ((text: string) => boolean)[] = []
  let rest = source.startsWith('^') ? source.slice(1) : source
  try {
    while (rest.startsWith('(?!') || rest.startsWith('(?=')) {
      const end = endOfGroup(rest)
      if (end === undefined) return fail('a parenthesis is not closed')
      const isWanted = rest[2] === '='
      const ahead = RE2JS.compile(`^(?:${rest.slice(3, end)})`)
      conditions.push((text) => ahead.test(text) === isWanted)
      rest = rest.slice(end + 1)
    }
    const expression = RE2JS.compile(`(?:${rest})`)
    conditions.push((text) => expression.testExact(text))
  } catch (error) {
    return fail(reasonOf(rest, error as Error))
  }
  return ok((text) => conditions.every((holds) => holds(text)))
}

/** Where the group that the text begins with ends; undefined when it does not. */
function endOfGroup(text: string): number | undefined {
  let depth = 0
  let isInClass = false
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at]
    if (character === '\\') at += 1
    else if (isInClass) isInClass = character !== ']'
    else if (character === '[') isInClass = true
    else if (character === '(') depth += 1
    else if (character === ')' && --depth === 0) return at
  }
  return undefined
}

/** What RE2 does not have, in words that say what to do; else its own. */
function reasonOf(source: string, error: Error): string {
  if (/\(\?<[=!]/.test(source))
    return 'look-behind is not supported: it cannot be matched in linear time'
  if (/\(\?[=!]/.test(source))
    return 'look-ahead is supported at the beginning only, as in "(?!pr-).*"'
  if (/\\[1-9]|\\k</.test(source)) {
    return 'back references are not supported: they cannot be matched in linear time'
  }
  return `not a regular expression: ${error.message}`
}
