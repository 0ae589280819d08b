/** Hashes of what operators give to each node: the same for the same, and nothing that shows what it is. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { Alike } from '../../../../src/server/mesh/alike.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-alike-'))
afterAll(() => rmSync(folder, { recursive: true }))

const key = Buffer.alloc(32, 3)
const hashOf = async (value: unknown, by: Uint8Array = key) =>
  (await new Alike({ part: value }, () => by).hashes())['part']

function file(name: string, text: string): string {
  const path = join(folder, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, text)
  return path
}

test('the same settings have one hash, in whatever order they stand', async () => {
  const one = await hashOf({ a: 1, b: ['x', { c: true }], d: undefined })
  expect(one).toMatch(/^[0-9a-f]{16}$/)
  expect(await hashOf({ d: undefined, b: ['x', { c: true }], a: 1 })).toBe(one)
  for (const other of [
    { a: 1, b: ['x', { c: false }] },
    { a: 1, b: [{ c: true }, 'x'] },
    [],
    null,
  ]) {
    expect(await hashOf(other)).not.toBe(one)
  }
  expect(await hashOf({ a: 1, b: ['x', { c: true }], d: undefined }, Buffer.alloc(32, 4))).not.toBe(
    one,
  )
})

test('a file counts by what is in it, a folder by its files', async () => {
  const [one, same, other] = [file('1/users', 'a'), file('2/other', 'a'), file('3/users', 'b')]
  expect(await hashOf({ file: one })).toBe(await hashOf({ file: same }))
  expect(await hashOf({ file: one })).not.toBe(await hashOf({ file: other }))
  expect(await hashOf(join(folder, 'none'))).not.toBe(await hashOf(join(folder, 'nothing')))
  file('4/x.pem', 'p')
  file('5/x.pem', 'p')
  file('6/y.pem', 'p')
  expect(await hashOf(join(folder, '4'))).toBe(await hashOf(join(folder, '5')))
  expect(await hashOf(join(folder, '4'))).not.toBe(await hashOf(join(folder, '6')))
})

test('what is long, deep or no file ends', async () => {
  const large = file('large', 'x'.repeat(3_000_000))
  const longer = file('longer', 'x'.repeat(3_000_001))
  expect(await hashOf(large)).not.toBe(await hashOf(longer))
  file('a/b/c/d/e/f/g', 'deep')
  for (const path of [
    '/dev/zero',
    '/proc/self',
    `/${'x'.repeat(10_000)}`,
    '/a\0b',
    join(folder, 'a'),
  ]) {
    expect(await hashOf({ path }), path.slice(0, 40)).toMatch(/^[0-9a-f]{16}$/)
  }
})
