/**
 * @module When a mirror asks upstream for signatures, and how long a pull may wait for that.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { MirroredRepository } from '../../../src/mirror/mirrored-repository.ts'
import { Verification } from '../../../src/mirror/verification.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { asName } from '../../support/registry-client.ts'
import { digestOfText } from '../../support/store.ts'

const repository = { name: asName('mirrored/app') } as MirroredRepository
const [old, newer] = ['old', 'newer'].map(digestOfText) as [
  ReturnType<typeof digestOfText>,
  ReturnType<typeof digestOfText>,
]

let clock: FakeClock
let mode: 'audit' | 'enforce' | undefined
let verified: Set<string>
let fetched: string[]
let fetchSigned: (digest: string) => Promise<void>
let verification: Verification
beforeEach(() => {
  vi.useFakeTimers()
  clock = new FakeClock()
  mode = 'enforce'
  verified = new Set()
  fetched = []
  fetchSigned = async () => undefined
  verification = new Verification({
    metadata: { get: () => ({}) } as never,
    clock,
    gate: { modeOf: () => mode, isVerified: async (_repository, digest) => verified.has(digest) },
    fetchSigned: (_repository, digest) => {
      fetched.push(digest)
      return fetchSigned(digest)
    },
  })
})
afterEach(() => void vi.useRealTimers())

test('what is verified by what is here asks nobody', async () => {
  verified.add(newer)
  expect(await verification.mayMove(repository, old, newer)).toBe(true)
  expect(fetched).toEqual([])
})

test('what is not is looked for upstream, once a minute', async () => {
  verified.add(old)
  expect(await verification.mayMove(repository, old, newer)).toBe(false)
  expect(await verification.mayMove(repository, old, newer)).toBe(false)
  expect(fetched).toEqual([newer])
  clock.advance(60_000)
  fetchSigned = async (digest) => void verified.add(digest)
  expect(await verification.mayMove(repository, old, newer)).toBe(true)
  expect(fetched).toEqual([newer, newer])
})

test('a tag that means nothing verified follows upstream', async () => {
  expect(await verification.mayMove(repository, old, newer)).toBe(true)
})

test('an upstream that is slow or fails keeps nobody for longer than ten seconds', async () => {
  for (const failing of [
    () => new Promise<void>(() => undefined),
    () => Promise.reject(new Error()),
  ]) {
    fetchSigned = failing
    verified.add(old)
    const moving = verification.mayMove(repository, old, newer)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(await moving).toBe(false)
    clock.advance(60_000)
  }
})

test('audit looks for them behind the answer, and without a policy nothing is asked', async () => {
  mode = 'audit'
  expect(verification.prepare(repository, newer)).toBeUndefined()
  expect(await verification.mayMove(repository, old, newer)).toBe(true)
  await vi.advanceTimersByTimeAsync(0)
  expect(fetched).toEqual([newer])
  mode = undefined
  expect(verification.prepare(repository, old)).toBeUndefined()
  await vi.advanceTimersByTimeAsync(0)
  expect(fetched).toEqual([newer])
})
