/** @module The address space for the rows. */
import { expect, test } from 'vitest'
import { mapBytesFor } from '../../../../src/metadata/lmdb/environment.ts'

const GiB = 1024 ** 3

test('a store has room for four times its rows, and a small one for 256 GiB', () => {
  expect(mapBytesFor(0)).toBe(256 * GiB)
  expect(mapBytesFor(64 * GiB)).toBe(256 * GiB)
  expect(mapBytesFor(270 * GiB)).toBe(1_080 * GiB)
})
