/** @module The rest of chunked bodies, cut anywhere. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ChunkedBody, type ChunkedState } from '../../../src/blobs/files/worker/chunked-body.ts'
import { restOfBody } from '../../../src/blobs/files/worker/rest-of-body.ts'

/** Feeds the bytes in pieces; the data that came out and how it ended. */
function readAll(leftInChunk: number, pieces: readonly Buffer[]) {
  const body = new ChunkedBody(leftInChunk)
  const data: Buffer[] = []
  let state: ChunkedState = 'more'
  for (const piece of pieces) {
    if (state !== 'more') break
    state = body.read(piece, (part) => data.push(Buffer.from(part)))
  }
  return { state, data: Buffer.concat(data).toString('latin1'), behind: body.behindBytes }
}

const whole = (left: number, text: string) => readAll(left, [Buffer.from(text, 'latin1')])

test('what is cut anywhere gives the same data', () => {
  const chunk = fc.string({ minLength: 1, maxLength: 40, unit: 'binary-ascii' })
  fc.assert(
    fc.property(chunk, fc.array(chunk), fc.array(fc.nat(600)), (first, others, cuts) => {
      const frames = others.map((text) => `${text.length.toString(16)};x=1\r\n${text}\r\n`)
      const wire = Buffer.from(`${first}\r\n${frames.join('')}0\r\nA: b\r\n\r\n`, 'latin1')
      const marks = [...new Set(cuts.map((cut) => cut % wire.length))].sort((a, b) => a - b)
      const pieces = [0, ...marks].map((at, index) =>
        wire.subarray(at, marks[index] ?? wire.length),
      )
      const expected = { state: 'end', data: first + others.join(''), behind: 0 }
      expect(readAll(first.length, pieces)).toEqual(expected)
    }),
  )
})

test.each([
  ['data without their end', 'abcX'],
  ['a bare line feed behind data', 'abc\n3\r\nabc\r\n0\r\n\r\n'],
  ['no size', 'abc\r\n\r\nabc'],
  ['a size that is none', 'abc\r\ng\r\n'],
  ['a sign', 'abc\r\n+3\r\nabc'],
  ['a blank', 'abc\r\n 3\r\nabc'],
  ['a size beyond all uploads', 'abc\r\n11111111111\r\n'],
  ['an extension without a size', 'abc\r\n;x\r\n'],
  ['a line feed in an extension', 'abc\r\n3;x\nabc\r\n'],
  ['an endless extension', `abc\r\n3;${'x'.repeat(2000)}`],
  ['endless trailers', `abc\r\n0\r\n${'A: b\r\n'.repeat(5000)}`],
  ['a line feed in a trailer', 'abc\r\n0\r\nA: b\n\r\n'],
])('%s is broken', (_what, text) => {
  expect(whole(3, text).state).toBe('broken')
})

test('a size may be padded', () => {
  expect(whole(3, 'abc\r\n2 \t\r\nde\r\n0 ;x\r\n\r\n').data).toBe('abcde')
})

test('what is behind the end is counted, and is no data', () => {
  expect(whole(3, 'abc\r\n0\r\n\r\nGET /')).toEqual({ state: 'end', data: 'abc', behind: 5 })
})

test('data move together in the buffer that was read', () => {
  const rest = restOfBody({ kind: 'chunked', leftInChunk: 3 })
  const read = Buffer.from('abc\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n')
  expect(Buffer.from(rest.take(read)).toString()).toBe('abcdef')
  expect([rest.end, rest.wantedBytes]).toEqual(['whole', 0])
})
