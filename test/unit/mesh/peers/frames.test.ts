/** @module Reports of members as lines, in whatever pieces they come. */
import { describe, expect, test } from 'vitest'
import { encodeFrame, FrameReader } from '../../../../src/mesh/peers/frames.ts'

const bytesOf = (text: string) => Buffer.from(text, 'latin1')
const read = (text: string) => new FrameReader().read(bytesOf(text))

describe('frames', () => {
  test('are read as they were written', () => {
    const frame = { member: 4_294_967_295, boot: 0, visible: Number.MAX_SAFE_INTEGER }
    expect(read(encodeFrame(frame))).toEqual(frame)
  })

  test('come in pieces, and several at once, of which the last counts', () => {
    const reader = new FrameReader()
    for (const byte of '7 3 1') expect(reader.read(bytesOf(byte))).toBeUndefined()
    expect(reader.read(bytesOf('2\n7 3 13\n7 4 1'))).toEqual({ member: 7, boot: 3, visible: 13 })
    expect(() => reader.end()).toThrow('no report')
    expect(reader.read(bytesOf('\n'))).toEqual({ member: 7, boot: 4, visible: 1 })
    expect(() => reader.end()).not.toThrow()
  })

  test('may be empty lines, which say nothing', () => {
    expect(read('\n')).toBeUndefined()
    expect(read('7 3 1\n\n')).toEqual({ member: 7, boot: 3, visible: 1 })
  })

  test.each([
    ' 7 3 1\n',
    '7 3 1 \n',
    '7 3 1\r\n',
    '7  3 1\n',
    '7 3\n',
    '7 3 1 1\n',
    '07 3 1\n',
    '-7 3 1\n',
    '7 3 1.5\n',
    '7 3 1e3\n',
    '0 3 1\n',
    '4294967296 3 1\n',
    '7 3 9007199254740992\n',
    '7 9007199254740992 1\n',
    '7 3 10000000000000000\n',
    '{"member":7}\n',
    '\u0000 3 1\n',
    '7 3 1\nx\n',
    '7 3 1\n8 3 1\n',
  ])('%j is none', (text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ problem: 'message' }))
  })

  test('are refused before their end where they are too long', () => {
    const reader = new FrameReader()
    expect(reader.read(bytesOf('1'.repeat(44)))).toBeUndefined()
    expect(() => reader.read(bytesOf('1'))).toThrow('no report')
    expect(() => read('1'.repeat(1_000_000))).toThrow('no report')
  })
})
