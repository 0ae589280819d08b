/** @module Who is sent a blob that many fetch, and by whom. */
import { expect, test } from 'vitest'
import { HotBlobs } from '../../../../src/mesh/blobs/hot.ts'
import type { Digest } from '../../../../src/registry/digest.ts'

const digest = `sha256:${'1'.repeat(64)}` as Digest
const other = `sha256:${'2'.repeat(64)}` as Digest

function crowd(hot: HotBlobs, count: number): ((isWhole: boolean) => void)[] {
  return Array.from({ length: count }, (_, at) => hot.begin(digest, 100 + at))
}

test('those that have taken all of it take turns, from the ninth stream on', () => {
  const hot = new HotBlobs()
  const ends = crowd(hot, 10)
  expect(hot.elsewhere(digest, 5)).toBeUndefined()
  ends[0]!(true)
  ends[1]!(true)
  expect([1, 2, 3, 4].map(() => hot.elsewhere(digest, 5))).toEqual([101, 100, 101, 100])
  // It is not sent to itself.
  expect(hot.elsewhere(digest, 101)).toBe(100)
  expect(hot.elsewhere(other, 5)).toBeUndefined()
  ends[2]!(false)
  expect(hot.elsewhere(digest, 5)).toBeUndefined()
})

test('a part, or a stream that broke off, is no copy', () => {
  const hot = new HotBlobs()
  const ends = crowd(hot, 9)
  ends[0]!(false)
  expect(hot.elsewhere(digest, 5)).toBeUndefined()
})

test('nothing is remembered when the last stream has ended', () => {
  const hot = new HotBlobs()
  for (const end of crowd(hot, 9)) end(true)
  crowd(hot, 8)
  expect(hot.elsewhere(digest, 5)).toBeUndefined()
})
