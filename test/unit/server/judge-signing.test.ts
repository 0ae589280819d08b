/**
 * @module What a start would refuse of the keys that signatures are verified with, found with its line before it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { ConfigError } from '../../../src/config/explain.ts'
import { judgeConfig } from '../../../src/server/judge/judge.ts'
import { makeSigner } from '../../support/signing.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-judge-signing-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let count = 0
function file(content: string): string {
  count += 1
  const path = join(folder, `file-${count}`)
  writeFileSync(path, content)
  return path
}

const { pem } = makeSigner()

/** The refusal without the name of the file, a line each. */
async function judge(keys: readonly object[]): Promise<string[]> {
  const path = file(stringify({ signing: { keys }, storage: { path: join(folder, 'store') } }))
  const error = await judgeConfig({ file: path }).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error === undefined) return []
  expect(error).toBeInstanceOf(ConfigError)
  return (error as ConfigError).message.split('\n').map((line) => line.replace(`${path}:`, ''))
}

test('keys that can be used are taken', async () => {
  const keys = [
    { name: 'release', pem },
    { name: 'a-team.2', path: file(pem) },
  ]
  expect(await judge(keys)).toEqual([])
})

test.each([
  [{ name: 'k', path: '/none' }, 'keys[0].path: /none cannot be read (ENOENT)'],
  [{ name: 'k', path: file('nonsense') }, 'expected one public key in PEM'],
  [{ name: 'k', pem: 'nonsense' }, 'keys[0].pem: expected one public key in PEM'],
  [{ name: 'k', pem, path: '/a' }, 'expected exactly one of path (a file) and pem'],
  [{ name: 'k' }, 'expected exactly one of path (a file) and pem'],
  [{ name: 'A b', pem }, 'expected a name of lower-case letters'],
  [{ name: 'k', pme: pem }, 'unknown key "pme"; did you mean "pem"?'],
])('%j is refused', async (key, message) => {
  const lines = await judge([key])
  expect(lines.join('\n')).toContain(message)
  expect(lines[0]).toMatch(/^\d+:\d+: signing\.keys/)
})

test('two keys of one name are refused', async () => {
  const [line] = await judge([
    { name: 'k', pem },
    { name: 'k', pem },
  ])
  expect(line).toContain('keys[1].name: "k" is the name of the key [0] too')
})
