/**
 * @module When a mirror asks upstream for signatures, and how long a pull may wait for that.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { MirroredRepository } from '../../../src/mirror/mirrored-repository.ts'
import { Verification } from '../../../src/mirror/verification.ts'
import { RegistryError } from '../../../src/registry/errors.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { asName, asTag } from '../../support/registry-client.ts'
import { digestOfText } from '../../support/store.ts'

const repository = { name: asName('mirrored/app') } as MirroredRepository
const [old, newer] = ['old', 'newer'].map(digestOfText) as [
  ReturnType<typeof digestOfText>,
  ReturnType<typeof digestOfText>,
]

let clock: FakeClock
let mode: 'audit' | 'enforce' | undefined
let verified: Set<string>
let revoked: Set<string>
let busy: Set<string>
let fetched: string[]
let fetchSigned: (digest: string) => Promise<void>
let verification: Verification
beforeEach(() => {
  vi.useFakeTimers()
  clock = new FakeClock()
  mode = 'enforce'
  verified = new Set()
  revoked = new Set()
  busy = new Set()
  fetched = []
  fetchSigned = async () => undefined
  verification = new Verification({
    metadata: { get: () => ({}) } as never,
    clock,
    gate: {
      modeOf: () => mode,
      isVerified: async (_repository, digest) => {
        if (busy.has(digest)) throw new RegistryError('SIGNATURES_BUSY')
        return verified.has(digest)
      },
      isRevoked: (digest) => revoked.has(digest),
    },
    fetchSigned: (_repository, digest) => {
      fetched.push(digest)
      return fetchSigned(digest)
    },
  })
})
afterEach(() => void vi.useRealTimers())

const unverified = 'the newer one is not verified'
const move = (tag = 'v1') => verification.objection(repository, asTag(tag), old, newer)

test('what is verified by what is here asks nobody', async () => {
  verified.add(newer)
  expect(await move()).toBeUndefined()
  expect(fetched).toEqual([])
})

test('what is not is looked for upstream, once a minute', async () => {
  verified.add(old)
  expect(await move()).toBe(unverified)
  expect(await move()).toBe(unverified)
  expect(fetched).toEqual([newer])
  clock.advance(60_000)
  fetchSigned = async (digest) => void verified.add(digest)
  expect(await move()).toBeUndefined()
  expect(fetched).toEqual([newer, newer])
})

test('a tag that means nothing verified follows upstream', async () => {
  expect(await move()).toBeUndefined()
})

test('a tag stays where it cannot be found out whether it means something verified', async () => {
  busy = new Set([old, newer])
  expect(await move()).toBe(unverified)
  busy = new Set([old])
  expect(await move()).toBe(unverified)
  busy = new Set([newer])
  verified.add(old)
  expect(await move()).toBe(unverified)
  // Clients get neither, so nothing is lost.
  verified.delete(old)
  expect(await move()).toBeUndefined()
})

test('no tag follows upstream to what is revoked, whatever the policy says', async () => {
  verified.add(newer)
  revoked.add(newer)
  const signatures = `${old.replace(':', '-')}.sig`
  for (const one of ['enforce', 'audit', undefined] as const) {
    mode = one
    for (const tag of ['v1', signatures]) expect(await move(tag)).toBe('the newer one is revoked')
    expect(verification.isJudged(repository, newer)).toBe(true)
  }
  expect(fetched).toEqual([])
  revoked.clear()
  expect(await move()).toBeUndefined()
  expect(verification.isJudged(repository, newer)).toBe(false)
})

test('an upstream that is slow or fails keeps nobody for longer than ten seconds', async () => {
  for (const failing of [
    () => new Promise<void>(() => undefined),
    () => Promise.reject(new Error()),
  ]) {
    fetchSigned = failing
    verified.add(old)
    const moving = move()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(await moving).toBe(unverified)
    clock.advance(60_000)
  }
})

test('audit looks for them behind the answer, and without a policy nothing is asked', async () => {
  mode = 'audit'
  expect(verification.prepare(repository, newer)).toBeUndefined()
  expect(await move()).toBeUndefined()
  await vi.advanceTimersByTimeAsync(0)
  expect(fetched).toEqual([newer])
  mode = undefined
  expect(verification.prepare(repository, old)).toBeUndefined()
  await vi.advanceTimersByTimeAsync(0)
  expect(fetched).toEqual([newer])
})
