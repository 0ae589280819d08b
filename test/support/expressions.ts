/** @module Finds the regular expressions in a source file: what a tokenizer sees, without a parser. */

export interface FoundExpression {
  readonly source: string
  readonly flags: string
  /** From 1. */
  readonly line: number
}

/** Characters after which a slash divides; after anything else it begins an expression. */
const ENDS_A_VALUE = /[\w$)\]}'"`]/

/** Words after which a slash begins an expression all the same. */
const BEFORE_A_VALUE = /\b(?:return|typeof|case|in|of|await|void|else|do|throw|new|delete)$/

/**
 * Every expression between slashes, comments and texts left out; code inside of templates is read. `hasElements`: of a
 * file with elements (`<a />`), whose slashes begin none.
 */
export function findExpressions(text: string, hasElements = false): FoundExpression[] {
  const found: FoundExpression[] = []
  /** For each template that is open: how many braces its code has open. */
  const templates: number[] = []
  let before = ''
  for (let at = 0; at < text.length; ) {
    const character = text[at]!
    const next = text[at + 1]
    if (character === '/' && next === '/') at = endOf(text, '\n', at)
    else if (character === '/' && next === '*') at = endOf(text, '*/', at) + 1
    else if (character === "'" || character === '"') {
      at = skipQuoted(text, at)
      before = character
      continue
    } else if (character === '`') {
      at = skipTemplate(text, at + 1, templates)
      before = '`'
      continue
    } else if (character === '{' && templates.length > 0) templates[templates.length - 1]! += 1
    else if (character === '}' && templates.length > 0) {
      if (templates.at(-1) === 0) {
        templates.pop()
        at = skipTemplate(text, at + 1, templates)
        before = '`'
        continue
      }
      templates[templates.length - 1]! -= 1
    } else if (character === '/' && !(hasElements && isOfElement(text, at))) {
      const code = before.trimEnd()
      if (!ENDS_A_VALUE.test(code.at(-1) ?? '') || BEFORE_A_VALUE.test(code)) {
        const end = endOfExpression(text, at)
        const flags = /^[a-z]*/.exec(text.slice(end + 1))![0]
        const line = text.slice(0, at).split('\n').length
        found.push({ source: text.slice(at + 1, end), flags, line })
        at = end + flags.length + 1
        before = '/x'
        continue
      }
    }
    before = (before + character).slice(-16)
    at += 1
  }
  return found
}

/** The end of an element (`</a>`, `<a />`), or its text: `<b>/</b>`. */
function isOfElement(text: string, at: number): boolean {
  const after = text.slice(at + 1, at + 64).trimStart()
  return text[at - 1] === '<' || after.startsWith('>') || after.startsWith('</')
}

function endOf(text: string, mark: string, from: number): number {
  const at = text.indexOf(mark, from)
  return at === -1 ? text.length : at
}

function skipQuoted(text: string, from: number): number {
  let at = from + 1
  while (at < text.length && text[at] !== text[from]) at += text[at] === '\\' ? 2 : 1
  return at + 1
}

/** Behind the template, or behind the `${` of its next code. */
function skipTemplate(text: string, from: number, templates: number[]): number {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1
    else if (text[at] === '`') return at + 1
    else if (text[at] === '$' && text[at + 1] === '{') {
      templates.push(0)
      return at + 2
    }
  }
  return text.length
}

function endOfExpression(text: string, from: number): number {
  let isInClass = false
  for (let at = from + 1; at < text.length; at += 1) {
    const character = text[at]
    if (character === '\\') at += 1
    else if (character === '[') isInClass = true
    else if (character === ']') isInClass = false
    else if (character === '/' && !isInClass) return at
  }
  return text.length
}
