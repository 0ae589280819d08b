import { expect, test } from 'vitest'
import { fromCbor, Tagged } from '../../../src/signing/formats/cbor.ts'
import { fromBase64, fromJson } from '../../../src/signing/formats/encoding.ts'

const hex = (text: string) => Buffer.from(text, 'hex')

test('CBOR is read as the examples of its specification say', () => {
  // RFC 8949, appendix A.
  const examples: readonly (readonly [string, unknown])[] = [
    ['00', 0],
    ['17', 23],
    ['1818', 24],
    ['1903e8', 1000],
    ['1a000f4240', 1_000_000],
    ['1b000000e8d4a51000', 1_000_000_000_000],
    ['20', -1],
    ['3863', -100],
    ['f4', false],
    ['f5', true],
    ['f6', null],
    ['6449455446', 'IETF'],
    ['62c3bc', 'ü'],
    ['83010203', [1, 2, 3]],
    ['8301820203820405', [1, [2, 3], [4, 5]]],
    [
      'a201020304',
      new Map([
        [1, 2],
        [3, 4],
      ]),
    ],
    ['826161a161626163', ['a', new Map([['b', 'c']])]],
  ]
  for (const [text, value] of examples) expect(fromCbor(hex(text)), text).toEqual(value)
  expect([...(fromCbor(hex('4401020304')) as Uint8Array)]).toEqual([1, 2, 3, 4])
  expect(fromCbor(hex('d2820102'))).toEqual(new Tagged(18, [1, 2]))
})

test('CBOR that is not understood to its last byte is refused', () => {
  const refused: readonly (readonly [string, string])[] = [
    ['', 'nothing'],
    ['0000', 'bytes behind the end'],
    ['1c', 'a reserved length'],
    ['5f42010243030405ff', 'an indefinite length'],
    ['9fff', 'an indefinite array'],
    ['f97e00', 'a floating-point number'],
    ['f7', 'undefined'],
    ['43ffff', 'an end in the middle'],
    ['1bffffffffffffffff', 'a number that is too large'],
    ['9affffffff', 'an array of four thousand million'],
    ['bb00000000ffffffff', 'a map of as many'],
    ['5b7fffffffffffffff', 'a string of as many'],
    ['a201020103', 'a key twice'],
    ['a1820102f6', 'a list as a key'],
    ['61ff', 'text that is not UTF-8'],
    [`${'81'.repeat(100)}00`, 'deep nesting'],
    ['d2'.repeat(100), 'deep tags'],
    [`994e20${'00'.repeat(20_000)}`, 'twenty thousand members'],
  ]
  for (const [text, what] of refused) expect(() => fromCbor(hex(text)), what).toThrow()
})

test('a second text for the same bytes is no base64', () => {
  expect(fromBase64('AAA=', 'it')).toEqual(Buffer.alloc(2))
  for (const text of ['AAA', 'AAB=', 'AA A=', 'AAA=\n', 'AAA==', '-_8=', 'AAA=AAA=', 1, null]) {
    expect(() => fromBase64(text, 'it'), String(text)).toThrow('it is not')
  }
})

test('JSON of strangers is bounded', () => {
  const read = (text: string | Uint8Array, bytesMax = 1_000) =>
    fromJson(Buffer.from(text), bytesMax, 'it')
  expect(read('{"a":1}')).toEqual({ a: 1 })
  expect(() => read(`{"a":"${'x'.repeat(1_000)}"}`)).toThrow('more than 1000 bytes')
  expect(() => read(`{"a":${'['.repeat(100)}${']'.repeat(100)}}`)).toThrow('not JSON')
  for (const text of ['', '[]', '"a"', 'null', '{"a":1}}', Uint8Array.of(0x7b, 0xff, 0x7d)]) {
    expect(() => read(text)).toThrow()
  }
})
