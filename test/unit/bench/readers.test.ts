/**
 * @module What the benches read of other programs: wrk's result, /proc, CPU profiles, chunked bodies.
 */
import { expect, test } from 'vitest'
import { unchunk } from '../../../bench/macro/http-client.ts'
import { cpuOf } from '../../../bench/macro/process-stats.ts'
import { parseWrk } from '../../../bench/macro/wrk.ts'
import { selfTimes } from '../../../bench/profile.ts'

test('the result line of wrk becomes metrics, in seconds and ms', () => {
  const output = 'Running 1s test\nBENCH-RESULT 1000500 2000 4096000 3 150 2500 9000\n'
  expect(parseWrk(output)).toEqual({
    seconds: 1.0005,
    requests: 2000,
    bytes: 4_096_000,
    errors: 3,
    p50Ms: 0.15,
    p99Ms: 2.5,
    p999Ms: 9,
  })
})

test('a wrk that printed no result is an error with its output', () => {
  expect(() => parseWrk('unable to connect')).toThrow(/unable to connect/)
})

test('CPU seconds are found behind a process name with spaces and brackets', () => {
  const fields = Array.from({ length: 50 }, (_, index) => String(index))
  fields[11] = '250'
  fields[12] = '150'
  expect(cpuOf(`77 (a) b (c)) ${fields.join(' ')}`)).toBe(4)
})

test('a process that has gone has used nothing', () => {
  expect(cpuOf('')).toBe(0)
})

test('self time is summed by function; idle time is left out', () => {
  const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 9 })
  const { busyMs, times } = selfTimes({
    nodes: [
      { id: 1, callFrame: frame('(idle)') },
      { id: 2, callFrame: frame('get', 'file:///home/me/app/dist/src/a.js') },
      { id: 3, callFrame: frame('(garbage collector)') },
    ],
    samples: [1, 2, 2, 3],
    timeDeltas: [5000, 2000, 1000, 1000],
  })
  expect(busyMs).toBe(4)
  expect(times).toEqual([
    { place: 'get src/a.js:10', ms: 3, share: 0.75 },
    { place: '(garbage collector)', ms: 1, share: 0.25 },
  ])
})

test('a chunked body is put together', () => {
  const raw = Buffer.from('5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n\r\n')
  expect(unchunk(raw).toString()).toBe('hello world')
})
