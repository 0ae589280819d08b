/** @module When a collection makes room for others, and how much of the heap its thread may have. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { gcHeapMiB } from '../../../src/gc/run-task.ts'
import { Settler } from '../../../src/gc/sweep/settle.ts'
import type { Candidate } from '../../../src/metadata/sweep.ts'
import { KeyedLock } from '../../../src/runtime/keyed-lock.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { asDigest, sha256 } from '../../support/registry-client.ts'

const bytes = 1_000
const candidate: Candidate = {
  kind: 'blob',
  digest: asDigest(sha256('blob')),
  at: 1,
  bytes,
}

describe('a batch', () => {
  let clock: FakeClock
  let commits: number

  /** A settler on a writer that takes 20 ms for a batch. */
  function settler(bytesPerSecond = 0): Settler {
    const metadata = {
      get commitCount() {
        return commits
      },
      commit: async () => {
        commits += 1
        clock.advance(20)
        return { applied: true, verdicts: [], tookMs: 20 }
      },
    }
    return new Settler({
      metadata: metadata as never,
      digestLock: new KeyedLock(),
      forget: () => undefined,
      clock,
      by: 'collection',
      pulledWithinMs: 0,
      isFinal: true,
      bytesPerSecond,
      maxPauseMs: 20,
      isMirrored: () => false,
      onSkipped: () => undefined,
    })
  }

  const settle = (it: Settler) => it.settle([candidate], async () => new Set())

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    clock = new FakeClock()
    commits = 0
  })
  afterEach(() => vi.useRealTimers())

  /** How long a promise waits for the timers, ms. */
  async function waited(promise: Promise<unknown>): Promise<number> {
    let isOver = false
    void promise.then(() => {
      isOver = true
    })
    for (let ms = 0; ; ms += 1) {
      for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
      if (isOver) return ms
      await vi.advanceTimersByTimeAsync(1)
    }
  }

  test('does not rest when nobody else writes', async () => {
    const it = settler()
    expect(await waited(settle(it))).toBe(0)
    expect(await waited(settle(it))).toBe(0)
  })

  test('rests three times as long as it took when others write', async () => {
    const it = settler()
    commits += 1
    expect(await waited(settle(it))).toBe(60)
    expect(await waited(settle(it))).toBe(0)
  })

  test('does not take the writes of the run itself for those of others', async () => {
    const it = settler()
    it.noteOwnCommit()
    commits += 1
    expect(await waited(settle(it))).toBe(0)
  })

  test('pays for what went, two under way together one after the other', async () => {
    const it = settler(10_000)
    const first = waited(settle(it))
    // 1,000 bytes at 10,000 a second, of which the writer has taken 20 ms.
    expect(await first).toBe(80)
    // No time has passed on the clock: the first has not paid when the second comes.
    expect(await waited(settle(it))).toBe(160)
  })
})

test('the heap is bounded only where a plan surely fits', () => {
  const store = (manifests: number, tags: number) => ({
    count: (database: string) => (database === 'manifests' ? manifests : tags),
  })
  expect(gcHeapMiB(store(0, 0))).toBe(1_800)
  expect(gcHeapMiB(store(250_000, 250_000))).toBe(1_800)
  expect(gcHeapMiB(store(250_001, 250_000))).toBeUndefined()
  expect(gcHeapMiB(store(0, 1_000_000))).toBeUndefined()
})
