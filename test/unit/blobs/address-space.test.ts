/**
 * @module Extents of reserved address space: none overlaps another, and what was given back is dealt out again
 * instead of new space.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AddressSpace, type Extent } from '../../../src/blobs/files/address-space.ts'

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB

function spaceOf() {
  const reserved: number[] = []
  let next = 0n
  const space = new AddressSpace({
    reserve: (length) => {
      reserved.push(length)
      const address = next
      next += BigInt(length) + 4096n
      return address
    },
    // Stands for the view of the whole piece: its bytes are never touched here.
    view: (address) => Object.assign(new ArrayBuffer(0), { address }),
  })
  return { space, reserved }
}

test('files of a piece share its view, and a file larger than a piece has its own', () => {
  const { space, reserved } = spaceOf()
  const small = space.take(1)
  const large = space.take(GiB)
  const huge = space.take(GiB + 1)
  expect(reserved).toEqual([GiB, GiB, GiB + 1])
  expect(space.take(100 * MiB).view).toBe(small.view)
  expect([small.isWhole, large.isWhole, huge.isWhole]).toEqual([false, false, true])
  space.give(huge, GiB + 1)
  space.take(GiB + 1)
  expect(reserved).toHaveLength(4)
})

test('a piece is whole again when all is given back', () => {
  const { space, reserved } = spaceOf()
  const sizes = [3 * MiB, 64 * KiB, 65 * KiB, 500 * MiB, 1, 17 * MiB]
  const extents = sizes.map((size) => space.take(size))
  for (const [index, extent] of extents.entries()) space.give(extent, sizes[index]!)
  space.take(GiB)
  expect(reserved).toEqual([GiB])
})

test('extents in use never overlap, and are where their offset says', () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ size: fc.integer({ min: 1, max: 300 * MiB }) }),
      fc.record({ give: fc.nat() }),
    ),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(steps, (all) => {
      const { space } = spaceOf()
      const used: { extent: Extent; size: number }[] = []
      for (const step of all) {
        if ('size' in step) used.push({ extent: space.take(step.size), size: step.size })
        else if (used.length > 0) {
          const [one] = used.splice(step.give % used.length, 1)
          space.give(one!.extent, one!.size)
        }
        const sorted = used.toSorted((a, b) => Number(a.extent.address - b.extent.address))
        for (const [index, { extent, size }] of sorted.entries()) {
          const start = (extent.view as unknown as { address: bigint }).address
          expect(extent.address).toBe(start + BigInt(extent.offset))
          expect(extent.offset % (64 * KiB)).toBe(0)
          expect(extent.offset + size).toBeLessThanOrEqual(GiB)
          const next = sorted[index + 1]
          if (next !== undefined) {
            expect(extent.address + BigInt(size) <= next.extent.address).toBe(true)
          }
        }
      }
    }),
  )
})
