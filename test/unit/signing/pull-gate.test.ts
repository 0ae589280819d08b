/**
 * @module What the gate before a pull says while a verdict cannot be had, and of what it is asked again.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ManifestHandlers } from '../../../src/http/handlers/manifests.ts'
import { PreparedAnswers, type PreparedManifest } from '../../../src/http/prepared-answers.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import type { Policy } from '../../../src/signing/policies.ts'
import { PullGate, type PullVerdict, pullWaitMs } from '../../../src/signing/pulls/gate.ts'
import type { Standing } from '../../../src/signing/pulls/standings.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { asName, sha256 } from '../../support/registry-client.ts'
import { exemptNone, policyOf } from '../../support/signing-policy.ts'

const repository = asName('prod/app')
const digest = sha256('{}') as Digest
const it = { repository, digest, pushedAt: 0 }
const puller = {
  method: 'GET',
  remoteAddress: '192.0.2.1',
  caller: { kind: 'anonymous', name: '', groups: [] },
  keepAddress: () => undefined,
} as const

let clock: FakeClock
let known: Standing | undefined
let find: () => Promise<boolean>
let noted: string[]
beforeEach(() => {
  vi.useFakeTimers()
  clock = new FakeClock()
  known = undefined
  find = async () => true
  noted = []
})
afterEach(() => void vi.useRealTimers())

const policyIn = (mode: Policy['mode'], more: Partial<Policy> = {}): Policy =>
  policyOf({ mode, gates: new Set(['pull']), exempt: exemptNone, ...more })

function gateOf(policy: Policy | undefined) {
  const looks: string[] = []
  const parts = {
    signatures: {
      governing: () => {
        looks.push('policy')
        return policy
      },
    },
    standings: { known: () => known, find: () => find(), later: () => undefined },
    revoked: { of: () => undefined },
    violations: { note: (_policy: Policy, { state }: { state: string }) => noted.push(state) },
    isMirrored: () => false,
    clock,
    counts: () => undefined,
  }
  return { gate: new PullGate(parts, undefined), looks }
}

function handlersOf(gate: object, metadata: object, answers: PreparedAnswers): ManifestHandlers {
  const none = {} as never
  return new ManifestHandlers({
    metadata: metadata as never,
    answers,
    pushes: none,
    deletes: none,
    room: none,
    pulls: { note: () => undefined } as never,
    headPromise: none,
    gate: gate as never,
  })
}

async function settled(gate: PullGate<typeof puller>): Promise<PullVerdict | undefined> {
  const first = gate.look(it, puller, undefined)
  if (!(first instanceof Promise)) return first
  await vi.advanceTimersByTimeAsync(pullWaitMs)
  return gate.look(it, puller, await first) as PullVerdict | undefined
}

test('a verdict that does not come in time is 503 where it is enforced, and noted elsewhere', async () => {
  for (const never of [
    () => new Promise<boolean>(() => undefined),
    () => Promise.reject(new Error()),
  ]) {
    find = never
    noted = []
    const enforced = await settled(gateOf(policyIn('enforce')).gate)
    expect(enforced?.refusal).toMatchObject({ kind: 'SIGNATURES_BUSY', status: 503 })
    expect(enforced?.header).toBe('error; policy="prod"')
    const audited = await settled(gateOf(policyIn('audit')).gate)
    expect(audited).toMatchObject({ refusal: undefined, warning: undefined, isFor: 'asked' })
    const warned = await settled(gateOf(policyIn('warn')).gate)
    expect(warned?.warning).toMatch(/^signature policy "prod": not verified/)
    expect(noted).toEqual(['error', 'error', 'error'])
  }
})

test('a pull waits no longer than it may, however often it is asked again', async () => {
  const { gate } = gateOf(policyIn('enforce'))
  const deadline = await (gate.look(it, puller, undefined) as Promise<number>)
  clock.advance(pullWaitMs - 1)
  expect(gate.look(it, puller, deadline)).toBeInstanceOf(Promise)
  clock.advance(1)
  expect(gate.look(it, puller, deadline)).toMatchObject({ refusal: { kind: 'SIGNATURES_BUSY' } })
})

test('what cannot be judged is asked for once, and not for as long as a pull may wait', async () => {
  find = async () => false
  const { gate } = gateOf(policyIn('enforce'))
  const deadline = await (gate.look(it, puller, undefined) as Promise<number>)
  expect(gate.look(it, puller, deadline)).toMatchObject({ refusal: { kind: 'SIGNATURES_BUSY' } })
})

test('a manifest whose bytes are gone is unknown before the gate is asked', () => {
  find = async () => false
  const { gate, looks } = gateOf(policyIn('enforce'))
  const row = { mediaType: 'application/vnd.oci.image.manifest.v1+json', sizeBytes: 2, pushedAt: 1 }
  const metadata = { get: () => row, getBytes: () => undefined, pageIn: () => undefined }
  const handlers = handlersOf(gate, metadata, new PreparedAnswers())
  const request = { ...puller, path: '', header: () => undefined } as never
  const get = () => handlers.get({ repository, reference: digest }, request, {} as never)
  expect(get).toThrow(expect.objectContaining({ kind: 'MANIFEST_UNKNOWN' }))
  expect(looks).toEqual([])
})

test('what is let through for a while is let through as long', async () => {
  const seal = { isBroken: false }
  const about = { repository, digest, seal, by: [], message: 'm', tried: [] }
  const policy = policyIn('enforce', { graceMs: 60_000 })
  known = { ...about, policy, state: 'unsigned', validUntil: clock.now() + 300_000 }
  const { gate } = gateOf(policy)
  const pushed = { ...it, pushedAt: clock.now() }
  expect(gate.look(pushed, puller, undefined)).toMatchObject({
    refusal: undefined,
    isFor: 'all',
    seal,
    validUntil: clock.monotonic() + 60_000,
  })
  clock.advance(60_000)
  expect(gate.look(pushed, puller, undefined)).toMatchObject({
    refusal: { kind: 'SIGNATURE_REQUIRED' },
    isFor: 'asked',
    seal: undefined,
  })
})

test('a verified image asks neither the gate nor the store again, until its seal breaks', () => {
  const seal = { isBroken: false }
  const policy = policyIn('enforce')
  const about = { repository, digest, seal, by: ['release'], message: '', tried: [] }
  known = { ...about, policy, state: 'verified', validUntil: Number.POSITIVE_INFINITY }
  const { gate, looks } = gateOf(policy)
  const reads: string[] = []
  const metadata = {
    get: (table: string) => {
      reads.push(table)
      return { mediaType: 'application/vnd.oci.image.manifest.v1+json', sizeBytes: 2, pushedAt: 1 }
    },
    getBytes: () => {
      reads.push('bytes')
      return Buffer.from('{}')
    },
    pageIn: () => undefined,
  }
  const answers = new PreparedAnswers()
  const handlers = handlersOf(gate, metadata, answers)
  const path = `/v2/${repository}/manifests/${digest}`
  const request = { ...puller, path, header: () => undefined } as never
  const sent: number[] = []
  const response = { send: (head: { status: number }) => sent.push(head.status) } as never
  void handlers.get({ repository, reference: digest }, request, response)
  expect(sent).toEqual([200])
  expect(looks).toHaveLength(1)
  const before = reads.length
  for (let time = 0; time < 3; time += 1) {
    const prepared = answers.get(path, performance.now()) as PreparedManifest
    void handlers.answer(prepared, request, response)
  }
  expect(sent).toEqual([200, 200, 200, 200])
  expect(looks).toHaveLength(1)
  expect(reads).toHaveLength(before)
  seal.isBroken = true
  expect(answers.get(path, performance.now())).toBeUndefined()
})

test('where no policy governs, an answer has no seal and no end', () => {
  expect(gateOf(undefined).gate.look(it, puller, undefined)).toBeUndefined()
})
