/**
 * @module Patterns of repository names and tags: globs (`glob.ts`), or a regular expression between
 * slashes (`/v\d+/`, `expression.ts`). Always the whole name, always in linear time.
 */
import { compileExpression } from './expression.ts'
import { compileGlob, globLengthMax } from './glob.ts'
import { fail, type Result } from './result.ts'

/** Longest pattern, characters. */
export const patternLengthMax = globLengthMax

export type Pattern = (text: string) => boolean

/** The pattern, or what is wrong with it in words. */
export function parsePattern(text: string): Result<Pattern, string> {
  if (text === '') return fail('a pattern must not be empty; "**" fits everything')
  if (text.length > patternLengthMax) return fail(`longer than ${patternLengthMax} characters`)
  const isExpression = text.length > 1 && text.startsWith('/') && text.endsWith('/')
  return isExpression ? compileExpression(text.slice(1, -1)) : compileGlob(text)
}

/** Whether any fits; an empty list fits nothing. Throws on a pattern that was not checked before. */
export function anyPattern(texts: readonly string[]): Pattern {
  const patterns = texts.map((text) => {
    const parsed = parsePattern(text)
    if (!parsed.ok) throw new TypeError(`pattern ${text}: ${parsed.error}`)
    return parsed.value
  })
  return (name) => patterns.some((pattern) => pattern(name))
}
