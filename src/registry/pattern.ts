/**
 * @module Patterns of repository names and tags: globs (`*` within a path component, `**` across,
 * `?`, `{a,b}`), or a regular expression between slashes (`/^v\d+$/`). Always the whole name.
 */
import { fail, ok, type Result } from './result.ts'

/** Longest pattern, characters. */
export const patternLengthMax = 512

export type Pattern = (text: string) => boolean

/** The pattern, or what is wrong with it in words. */
export function parsePattern(text: string): Result<Pattern, string> {
  if (text === '') return fail('a pattern must not be empty; "**" fits everything')
  if (text.length > patternLengthMax) return fail(`longer than ${patternLengthMax} characters`)
  const isExpression = text.length > 1 && text.startsWith('/') && text.endsWith('/')
  try {
    const source = isExpression ? text.slice(1, -1) : globSource(text)
    const expression = new RegExp(`^(?:${source})$`, 'u')
    return ok((name) => expression.test(name))
  } catch {
    return fail(isExpression ? 'not a regular expression' : 'braces do not match')
  }
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

function globSource(glob: string): string {
  return glob.replaceAll(/\*\*|[*?{},]|[^*?{},]+/g, (token) => {
    switch (token) {
      case '**':
        return '.*'
      case '*':
        return '[^/]*'
      case '?':
        return '[^/]'
      case '{':
        return '(?:'
      case '}':
        return ')'
      case ',':
        return '|'
      default:
        return token.replaceAll(/[\\^$.|+()[\]/]/g, '\\$&')
    }
  })
}
