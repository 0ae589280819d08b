/**
 * @module Texts of 64 KiB that make careless code slow: one character again and again, behind whatever a
 * parser expects at the beginning, with something at the end that spoils a match.
 */

const lengthBytes = 64 * 1024

const CHARACTERS = [
  ' ',
  '\t',
  ',',
  '<',
  '"',
  'a',
  '/',
  '-',
  '.',
  '0',
  ':',
  '(',
  '=',
  '\\',
  '{',
  '[',
]

const BEGINNINGS = [
  '',
  'Basic ',
  'Bearer a',
  'bytes=',
  '<',
  '"',
  '{"a":"',
  'sha256:',
  'repository:a',
  '/v2/a',
  'http://a',
  'HTTP/1.1 200 a\r\na:',
]

export function* hostileTexts(): Generator<string> {
  for (const beginning of BEGINNINGS) {
    for (const character of CHARACTERS) {
      yield `${beginning}${character.repeat(lengthBytes)}\u0001`
    }
  }
  for (const pair of ['a-', 'a.', ', ', '" ', '/a', '0,', '<>', '{}', 'a=']) {
    yield `${pair.repeat(lengthBytes / 2)}\u0001`
  }
}
