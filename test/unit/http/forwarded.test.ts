/**
 * @module `Forwarded`: the forms of RFC 7239, and what is not understood.
 */
import { expect, test } from 'vitest'
import { parseForwarded } from '../../../src/http/engine/forwarded.ts'

test.each([
  ['for=192.0.2.43', '192.0.2.43', undefined, undefined],
  ['For="[2001:db8::1]:4711"', '[2001:db8::1]:4711', undefined, undefined],
  ['for=192.0.2.60;proto=HTTP;by=203.0.113.43', '192.0.2.60', 'http', undefined],
  ['for=a, for=b;host="r.test:5000" ;proto=https', 'a,b', 'https', 'r.test:5000'],
  ['proto=https, for=b', 'unknown,b', undefined, undefined],
  ['for="a\\"b", for=_x', 'a"b,_x', undefined, undefined],
  ['for="10.0.0.1,10.0.0.2"', 'unknown', undefined, undefined],
  [' for=a ;; , , for=b ', 'a,b', undefined, undefined],
])('%s', (header, hops, proto, host) => {
  expect(parseForwarded(header)).toEqual({ for: hops, proto, host })
})

test.each([
  undefined,
  'for',
  'for=a;for=b',
  '=a',
  'for="a',
  'for="a\\',
  'for="a"b',
  'for=a"b"',
  `for=${'a'.repeat(8192)}`,
])('not understood: %j', (header) => {
  expect(parseForwarded(header)).toBeUndefined()
})

test.each([' ', '\t', ',', ';', '=', '"', '\\', 'a', 'for=', 'for="', 'for=a,'])(
  'any number of %j is read in a moment',
  (text) => {
    const started = performance.now()
    parseForwarded(text.repeat(Math.floor(8192 / text.length)))
    parseForwarded(text.repeat(64 * 1024))
    // Anything but linear takes seconds.
    expect(performance.now() - started).toBeLessThan(500)
  },
)
