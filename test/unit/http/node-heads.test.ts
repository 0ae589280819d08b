/** @module Half a head on a connection of node:http, first or later: it has about 10 s. */
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Keeper } from '../../../src/http/engine/keeper.ts'
import { NodeHeads } from '../../../src/http/engine/node/heads.ts'
import type { RequestLine } from '../../../src/http/engine/node/request-line.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** How long a connection is kept that is fed so many bytes each second, s; at most a minute. */
function secondsOf(line: { bytesUsed: number; isBusy: boolean } | undefined, bytes: number) {
  const socket = Object.assign(new EventEmitter(), { bytesRead: 0 })
  let isGivenUp = false
  const heads = new NodeHeads(
    new Keeper(),
    () => line as RequestLine | undefined,
    () => {
      isGivenUp = true
    },
  )
  heads.watch(socket as unknown as Socket)
  for (let second = 0; second < 60; second += 1) {
    socket.bytesRead += second === 0 ? (line?.bytesUsed ?? 0) + bytes : Math.sign(bytes)
    vi.advanceTimersByTime(1000)
    if (isGivenUp) return second
  }
  socket.emit('close')
  return 60
}

test('a head that does not end is given up after ten seconds, before and after a request', () => {
  for (const line of [undefined, { bytesUsed: 500, isBusy: false }]) {
    expect(secondsOf(line, 20)).toBeGreaterThanOrEqual(8)
    expect(secondsOf(line, 20)).toBeLessThanOrEqual(14)
  }
})

test('an idle connection is none, nor one whose request is at work', () => {
  expect(secondsOf(undefined, 0)).toBe(60)
  expect(secondsOf({ bytesUsed: 500, isBusy: false }, 0)).toBe(60)
  expect(secondsOf({ bytesUsed: 0, isBusy: true }, 5000)).toBe(60)
})
