import { describe, expect, test } from 'vitest'
import { ChunkPool } from '../../../src/blobs/files/chunk-pool.ts'
import { HeldChunks } from '../../../src/blobs/files/held-chunks.ts'

function hold(held: HeldChunks, start: number, text: string): void {
  held.begin(start).write(text)
  held.grow(text.length)
}

const textAt = (held: HeldChunks, offset: number) => {
  const bytes = held.at(offset)
  return bytes && Buffer.from(bytes).toString()
}

describe('chunks on their way to the file', () => {
  test('are found by offset, as far as they are filled', () => {
    const held = new HeldChunks(new ChunkPool(8, 64))
    hold(held, 0, 'abcdefgh')
    hold(held, 8, 'ij')
    expect(textAt(held, 0)).toBe('abcdefgh')
    expect(textAt(held, 7)).toBe('h')
    expect(textAt(held, 8)).toBe('ij')
    expect(textAt(held, 10)).toBeUndefined()
    held.grow(3)
    expect(held.at(10)).toHaveLength(1)
  })

  test('go once the file has them, in order, and their buffers serve again', () => {
    const pool = new ChunkPool(8, 16)
    const held = new HeldChunks(pool)
    hold(held, 0, 'abcdefgh')
    hold(held, 8, 'ijkl')
    expect(pool.isOverBudget).toBe(true)
    held.release(7)
    expect(textAt(held, 0)).toBe('abcdefgh')
    held.release(8)
    expect(held.at(0)).toBeUndefined()
    expect(textAt(held, 8)).toBe('ijkl')
    expect(pool.isOverBudget).toBe(false)
    held.release(12)
    expect(held.at(8)).toBeUndefined()
  })

  test('that nobody will write any more give their budget back', () => {
    const pool = new ChunkPool(8, 8)
    const held = new HeldChunks(pool)
    hold(held, 0, 'abc')
    expect(pool.isOverBudget).toBe(true)
    held.drop()
    expect(pool.isOverBudget).toBe(false)
    expect(held.at(0)).toBeUndefined()
  })
})
