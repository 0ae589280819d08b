/**
 * @module Files of users as other systems and editors write them, and what nobody can have meant.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { editHtpasswd, emptinessProblem, parseHtpasswd } from '../../../src/auth/htpasswd.ts'
import { readText } from '../../../src/runtime/text-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-htpasswd-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const hash = `$2b$10$${'a'.repeat(53)}`
const usersOf = (text: string) => {
  const parsed = parseHtpasswd(text, 'users')
  return parsed.ok ? [...parsed.users] : parsed.problems
}

test.each([
  ['as it should be', `alice:${hash}\nbob:${hash}\n`],
  ['from Windows', `\ufeffalice:${hash}\r\nbob:${hash}\r\n`],
  ['out of a block of YAML', `  alice:${hash}\n  bob:${hash}\n\n`],
  ['with tabs, comments and blanks behind', `\t# us\n\talice:${hash} \n \t\n bob:${hash}\t`],
  ['with a blank behind the colon', `alice: ${hash}\nbob:\t${hash}`],
])('users are read from a file %s', (_what, text) => {
  expect(usersOf(text)).toEqual([
    ['alice', hash],
    ['bob', hash],
  ])
})

test.each([
  [`alice :${hash}`, 'blank at its ends'],
  [`alice\u00a0:${hash}`, 'blank at its ends'],
  [`al\u200bice:${hash}`, 'control character'],
  [`al\ufeffice:${hash}`, 'control character'],
  [`\u202ealice:${hash}`, 'control character'],
  [`al\u0000ice:${hash}`, 'control character'],
  [`al\ufffdice:${hash}`, 'control character'],
])('a name that nobody can type is refused: %j', (text, reason) => {
  expect(usersOf(text)).toEqual([expect.stringContaining(reason)])
})

test.each(['', '\n\r\n', '# nobody\n', '\ufeff', ' \t \n  # x'])('nobody is in %j', (text) => {
  const parsed = parseHtpasswd(text, 'users')
  expect(parsed.ok && emptinessProblem(parsed.users, 'users')).toContain('htpasswd add users NAME')
})

test('an edit finds a user behind blanks and marks, and leaves the others', () => {
  const text = `  alice:${hash}\r\nbob:${hash}\r\n`
  expect(editHtpasswd(text, 'alice', undefined)).toBe(`bob:${hash}\r\n`)
  expect(editHtpasswd(text, 'alice', 'new')).toBe(`alice:new\nbob:${hash}\r\n`)
})

test('a byte order mark goes, UTF-16 is named', async () => {
  const path = join(folder, 'file')
  writeFileSync(path, '\ufeff{"keys":[]}')
  expect(await readText(path)).toBe('{"keys":[]}')
  for (const bytes of [
    Buffer.from('\ufeffalice:x', 'utf16le'),
    Buffer.from('\ufeffalice:x', 'utf16le').swap16(),
    Buffer.from('alice:x', 'utf16le'),
  ]) {
    writeFileSync(path, bytes)
    await expect(readText(path)).rejects.toThrow('save it as UTF-8')
  }
  for (const text of ['', 'a', 'ä', 'ab']) {
    writeFileSync(path, text)
    expect(await readText(path)).toBe(text)
  }
})
