/**
 * @module Plain words in what users read: documents, example files, and every sentence that the program
 * prints. Many readers use English as a second language (docs/contributing.md).
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { readSourceFiles } from '../support/source-tree.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** A word, and what says the same plainly. */
const PLAIN: readonly (readonly [RegExp, string])[] = [
  [/\b(?:some|any|no)body\b/i, 'say who: the client, the caller, the operator'],
  [/\bwho(?:so)?ever\b/i, 'say who: the client, the caller, the operator'],
  [/\b(?:he|him|his)\b/i, 'say who: the client, the caller, the operator'],
  [/\bmend(?:s|ed|ing)?\b/i, 'repair'],
  [/\banew\b/i, 'again'],
  [/\b(?:lets?|letting) go of\b/i, 'release'],
  [/\btells?\b/i, 'report, or say'],
]

function problemsOf(text: string): string[] {
  return PLAIN.flatMap(([word, instead]) => {
    const found = word.exec(text)
    return found === null ? [] : [`"${found[0]}": ${instead}`]
  })
}

/** What users read beside the program. */
const PAGES = [
  ...readdirSync(`${root}docs`)
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
  ...readdirSync(`${root}deploy`, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.includes('.'))
    .map((name) => `deploy/${name}`),
  'README.md',
  'CHANGELOG.md',
  'example-config.yaml',
]

/** Strings of a source file that are sentences; comments are left out. */
function sentencesOf(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '')
  return [...code.matchAll(/'((?:[^'\\\n]|\\.)*)'|`((?:[^`\\]|\\.)*)`/g)]
    .map(([, plain, template]) => plain ?? template ?? '')
    .filter((literal) => literal.trim().split(/\s+/).length >= 4)
}

describe('plain words', () => {
  test.each(PAGES)('in %s', (page) => {
    const lines = readFileSync(`${root}${page}`, 'utf8').split('\n')
    const found = lines.flatMap((line, index) => {
      // The page of rules names the words that it forbids.
      if (/\(not [a-z]+/.test(line) || line.startsWith('- Say who acts')) return []
      return problemsOf(line).map((problem) => `line ${index + 1}: ${problem}`)
    })
    expect(found).toEqual([])
  })

  test('in every sentence of the program', () => {
    const found = readSourceFiles('src', 'workers').flatMap(({ path, text }) =>
      sentencesOf(text).flatMap((sentence) =>
        problemsOf(sentence).map((problem) => `${path}: ${problem}: ${sentence.slice(0, 80)}`),
      ),
    )
    expect(found).toEqual([])
  })
})
