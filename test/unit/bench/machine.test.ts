/**
 * @module What a report says of the machine, and what of its rows the machine cannot run.
 */
import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import { processorName } from '../../../bench/machine.ts'
import { requireRoom } from '../../../bench/macro/room.ts'
import { Skipped } from '../../../bench/macro/skipped.ts'

const info = (vendor: string, name: string) =>
  `processor\t: 0\nvendor_id\t: ${vendor}\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: ${name}\nstepping\t: 8\n`

test('a processor has its make, its name and the numbers that tell generations apart', () => {
  expect(processorName(info('AuthenticAMD', 'AMD EPYC'))).toBe('AMD EPYC, family 6 model 143')
  expect(processorName(info('GenuineIntel', 'Xeon Processor'))).toBe(
    'Intel Xeon Processor, family 6 model 143',
  )
})

test('where /proc does not say it, the name of the system has to do', () => {
  expect(processorName('', 'Apple M2')).toBe('Apple M2')
  expect(processorName('')).toBe('unknown')
})

test('a row that the disk cannot hold is skipped with its reason', () => {
  expect(() => requireRoom(tmpdir(), 1)).not.toThrow()
  expect(() => requireRoom(tmpdir(), 1e18)).toThrow(Skipped)
  expect(() => requireRoom(tmpdir(), 1e18)).toThrow(/needs 1250000000\.0 GB of disk/)
})
