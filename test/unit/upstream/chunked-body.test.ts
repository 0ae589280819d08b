import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ChunkedBody } from '../../../src/upstream/chunked-body.ts'

/** What comes out when the bytes come in such pieces; and how many belonged to the body. */
function decode(text: string | Buffer, pieceBytes = Number.POSITIVE_INFINITY) {
  const bytes = Buffer.from(text)
  const body = new ChunkedBody()
  const data: Buffer[] = []
  let taken = 0
  for (let at = 0; at < bytes.byteLength && !body.isOver; at += pieceBytes) {
    taken += body.take(bytes.subarray(at, at + pieceBytes), (some) => data.push(Buffer.from(some)))
  }
  return { data: Buffer.concat(data), isOver: body.isOver, taken }
}

describe('a body in chunks', () => {
  test('is put together, whatever the pieces', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 }),
        fc.integer({ min: 1, max: 64 }),
        (chunks, pieceBytes) => {
          const parts = chunks.flatMap((chunk) => [
            Buffer.from(`${chunk.byteLength.toString(16)};x=y\r\n`),
            chunk,
            Buffer.from('\r\n'),
          ])
          const wire = Buffer.concat([...parts, Buffer.from('0\r\nTrailer: x\r\n\r\n')])
          const { data, isOver, taken } = decode(wire, pieceBytes)
          expect(data).toEqual(Buffer.concat(chunks))
          expect(isOver).toBe(true)
          expect(taken).toBe(wire.byteLength)
        },
      ),
    )
  })

  test('leaves what follows it alone', () => {
    expect(decode('1\r\na\r\n0\r\n\r\nHTTP/1.1')).toMatchObject({ isOver: true, taken: 11 })
  })

  test('is not over before its last chunk', () => {
    expect(decode('3\r\nabc\r\n').isOver).toBe(false)
    expect(decode('3\r\nabc\r\n0\r\n').isOver).toBe(false)
  })

  test.each([
    ['a size that is none', 'x\r\n'],
    ['a negative size', '-1\r\n'],
    ['a size beyond all bounds', 'ffffffffffffffff\r\n'],
    ['data longer than its size', '2\r\nabc\r\n'],
    ['bare line feeds', '1\na\n'],
    ['a line without end', `1;${'x'.repeat(5000)}`],
    ['trailers without end', `0\r\n${'X: y\r\n'.repeat(20_000)}`],
  ])('is refused with %s', (_what, text) => {
    expect(() => decode(text)).toThrow(expect.objectContaining({ kind: 'garbage' }))
  })
})
