/** How far the log may be cut: in bytes, by the entries of late. */
import { expect, test } from 'vitest'
import { truncatedAt } from '../../../../src/metadata/log/truncation.ts'

/** Entries of 744 bytes take 1,000 in etcd. */
const lately = { entries: 100, bytes: 74_400 }
const cut = (durable: number, applied: number, keepBytes = 20_000_000) =>
  truncatedAt({ durable, applied, keepBytes, lately })

test('what all have on their disks goes, but for as many bytes as are kept', () => {
  expect(cut(50_000, 100_000)).toBe(50_000)
  expect(cut(100_000, 100_000)).toBe(80_000)
  expect(cut(100_000, 100_000, 40_000_000)).toBe(60_000)
  expect(cut(10_000, 10_000)).toBeUndefined()
})

test('what one lacks that is away is kept four times as long', () => {
  expect(cut(5, 200_000)).toBe(120_000)
  expect(cut(5, 80_000)).toBe(5)
  expect(cut(0, 70_000)).toBeUndefined()
})

test('a thousand entries stay, however large they are', () => {
  const large = { entries: 10, bytes: 10 * 1024 * 1024 }
  const at = truncatedAt({ durable: 5_000, applied: 5_000, keepBytes: 1_024, lately: large })
  expect(at).toBe(4_000)
})

test('without a tail nothing is known of its bytes, and nothing goes', () => {
  const none = { entries: 0, bytes: 0 }
  expect(
    truncatedAt({ durable: 9_000, applied: 9_000, keepBytes: 1, lately: none }),
  ).toBeUndefined()
})
