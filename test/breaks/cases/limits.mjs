/** @module The breaks of what one client may take: by address, by connection, by disk, by line. */
import { vitest } from '../breaks.mjs'

const queue = vitest('unit', 'test/unit/auth/password-queue.test.ts')
const key = vitest('unit', 'test/unit/runtime/client-key.test.ts')
const throttle = vitest('unit', 'test/unit/auth/throttle.test.ts')

export const BREAKS = [
  {
    what: 'B4: every IPv6 address is a client of its own',
    file: 'src/runtime/client-key.ts',
    find: "if (!address.includes(':')) return address",
    replace: "if (address !== '') return address",
    guard: key,
  },
  {
    what: 'B4: a known client waits among strangers',
    file: 'src/auth/password-queue.ts',
    find: "if (isKnownClient) places.push({ lane: 'known-client',",
    replace: "if (isKnownClient) places.push({ lane: 'others',",
    guard: queue,
  },
  {
    what: 'B4: whoever comes when all places are taken is put off, known or not',
    file: 'src/auth/password-queue.ts',
    find: 'if (this.#waitingCount >= waitingMax && !this.#putOffNewest()) continue',
    replace: 'if (this.#waitingCount >= waitingMax) continue',
    guard: queue,
  },
  {
    what: 'B14: whoever guesses for ever is not slowed down',
    file: 'src/auth/throttle.ts',
    find: 'if (slows === undefined || spent <= burst) return 1 / perSecond',
    replace: 'if (slows === undefined || spent >= burst) return 1 / perSecond',
    guard: throttle,
  },
]
