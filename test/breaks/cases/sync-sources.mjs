/**
 * @module The breaks of what sources of a sync promise: no list that is not whole, nothing gone that was not
 * said to be gone, no host asked faster than it wants.
 */
import { vitest } from '../breaks.mjs'

const http = (file) => vitest('http', `test/http/${file}.test.ts`)
const unit = (file) => vitest('unit', `test/unit/${file}.test.ts`)

export const BREAKS = [
  {
    what: 'sync: a 401 of Quay for one repository is the token, whatever its login says',
    file: 'src/sync/sources/quay.ts',
    find: 'isOpen, isJudgedByAsker: true }',
    replace: 'isOpen, isJudgedByAsker: false }',
    guard: http('sync/quay-source'),
  },
  {
    what: 'sync: a token that ends in the middle is a refusal of each repository',
    file: 'src/sync/sources/quay.ts',
    find: 'return status === 401 || status === 404',
    replace: 'return status === 499',
    guard: http('sync/quay-source'),
  },
  {
    what: 'sync: a token that ends while repositories are listed makes a short list whole',
    file: 'src/sync/sources/quay.ts',
    find: 'if (clock.monotonic() >= begunAt + goodForMs)',
    replace: 'if (clock.monotonic() < begunAt)',
    guard: http('sync/quay-source'),
  },
  {
    what: 'sync: a token server that refuses one repository refuses the credential',
    file: 'src/upstream/tokens.ts',
    find: 'if (wanting.tellsApart !== true ||',
    replace: 'if (wanting.tellsApart === true ||',
    guard: http('sync/upstream-client'),
  },
  {
    what: 'sync: a password that was good once is good for ever',
    file: 'src/upstream/account.ts',
    find: 'return this.#clock.monotonic() < known.until ? known.isTaken : undefined',
    replace: 'return known.isTaken ? true : undefined',
    guard: http('sync/upstream-client'),
  },
  {
    what: 'sync: pulls are held back by what a sync has asked too much',
    file: 'src/upstream/account.ts',
    find: "ofSyncs !== undefined && failure.kind === 'limited'",
    replace: "ofSyncs !== undefined && failure.kind === 'garbage'",
    guard: http('sync/upstream-client'),
  },
  {
    what: 'sync: lists and repetitions are not held to the rate of requests',
    file: 'src/upstream/upstream.ts',
    find: 'if (isOwn) await pace.turn(',
    replace: 'if (!isOwn) await pace.turn(',
    guard: http('sync/upstream-client'),
  },
  {
    what: 'sync: a server that stops waits for the rate of requests',
    file: 'src/upstream/pace.ts',
    find: 'throw waitSignal.reason',
    replace: 'continue',
    guard: unit('upstream/pace'),
  },
  {
    what: 'sync: a Quay cursor that leads to the first page again ends the list',
    file: 'src/sync/sources/quay.ts',
    find: 'if (count === 1) throw endless(',
    replace: 'if (count === 1) return void (',
    guard: http('sync/quay-source'),
  },
  {
    what: 'sync: an organization that is not there is an empty one',
    file: 'src/sync/sources/quay.ts',
    find: 'if (count === 0) await this.#requireNamespace(organization, signal)',
    replace: 'void count',
    guard: http('sync/quay-source'),
  },
  {
    what: 'sync: dead tags of Quay are listed',
    file: 'src/sync/sources/quay.ts',
    find: 'onlyActiveTags=true&limit=',
    replace: 'limit=',
    guard: http('sync/quay-source'),
  },
  {
    what: 'sync: a token that Quay takes for nobody passes the probe',
    file: 'src/sync/sources/quay.ts',
    find: '!error.isRefusal) throw error\n      const words',
    replace: '!error.isRefusal) throw error\n      if (host !== "") return\n      const words',
    guard: http('sync/quay-source'),
  },
  {
    what: 'sync: an answer with other tags is proof that one is gone',
    file: 'src/sync/sources/quay.ts',
    find: 'if (others > 0) {',
    replace: 'if (others > 1e9) {',
    guard: http('sync/quay-source'),
  },
  {
    what: 'sync: pages of a registry that lead in a circle are followed',
    file: 'src/sync/sources/registry.ts',
    find: "if (asked.has(query)) throw endless('its pages lead in a circle')",
    replace: 'if (asked.has(query)) return',
    guard: http('sync/registry-source'),
  },
  {
    what: 'sync: a tag is gone with its repository',
    file: 'src/sync/sources/registry.ts',
    find: "await this.#asking.page({ repository, tail: 'tags/list?n=1' }, signal)\n",
    replace: '',
    guard: http('sync/registry-source'),
  },
  {
    what: 'sync: a host that said for how long is asked before',
    file: 'src/upstream/account.ts',
    find: 'this.putOff(of, retryAfterMs)',
    replace: 'void retryAfterMs',
    guard: http('sync/upstream-client'),
  },
  {
    what: 'sync: the last of a quota is taken from pulls',
    file: 'src/upstream/account.ts',
    find: 'return isReserved(quota, of) ? quota.resetAt : undefined',
    replace: 'return undefined',
    guard: unit('upstream/quota'),
  },
  {
    what: 'sync: refusals of one time narrow the window one by one',
    file: 'src/upstream/gate.ts',
    find: 'if (number < this.#epochFrom) return\n',
    replace: '',
    guard: unit('upstream/gate'),
  },
  {
    what: 'sync: a sync goes before pulls that came later',
    file: 'src/upstream/gate.ts',
    find: "this.#lines.pull.size > 0 ? 'pull' : 'sync'",
    replace: "this.#lines.sync.size > 0 ? 'sync' : 'pull'",
    guard: unit('upstream/gate'),
  },
  {
    what: 'sync: secrets of an API go where it redirects to',
    file: 'src/upstream/upstream.ts',
    find: '...(isOwn ? ownHeaders : {}),',
    replace: '...ownHeaders,',
    guard: http('sync/upstream-client'),
  },
  {
    what: 'sync: a token is used for as long as it says',
    file: 'src/upstream/token-answers.ts',
    find: 'Math.min(whole, exp - clock.now() / 1000, ownLifeSecondsMax)',
    replace: 'Math.min(whole, exp - clock.now() / 1000)',
    guard: unit('upstream/token-life'),
  },
  {
    what: 'sync: a short page of Harbor is the last one',
    file: 'src/sync/sources/harbor.ts',
    find: 'count < entriesAtOnce && !hasMore',
    replace: 'count < entriesAtOnce',
    guard: http('sync/harbor-source'),
  },
  {
    what: 'sync: a small limit is kept from syncs whole',
    file: 'src/upstream/quota.ts',
    find: 'Math.min(reserve, (limit ?? Number.POSITIVE_INFINITY) / 2)',
    replace: 'reserve',
    guard: unit('upstream/quota'),
  },
]
