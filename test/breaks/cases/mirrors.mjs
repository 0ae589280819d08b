/**
 * @module The breaks of what mirrors promise: whose word counts, who waits for whom, and what is said of
 * what could not be asked.
 */
import { vitest } from '../breaks.mjs'

const http = (file) => vitest('http', `test/http/${file}.test.ts`)
const unit = (file) => vitest('unit', `test/unit/${file}.test.ts`)

export const BREAKS = [
  {
    what: 'mirrors: warming leaves behind what is attached to an image',
    file: 'src/mirror/warm.ts',
    find: 'await this.#allAttached(repository, fetched)',
    replace: 'void fetched',
    guard: http('mirror/upstreams'),
  },
  {
    what: 'mirrors: stored bytes are linked without upstream’s word',
    file: 'src/mirror/blobs.ts',
    find: 'await this.#proofs.prove(repository, digest, row.sizeBytes, deadline)\n',
    replace: 'void [row.sizeBytes, deadline]\n',
    guard: http('mirror/proof'),
  },
  {
    what: 'mirrors: a running fill is joined without upstream’s word',
    file: 'src/mirror/blobs.ts',
    find: 'await this.#proofs.prove(repository, digest, sizeBytes, deadline)\n',
    replace: 'void sizeBytes\n',
    guard: http('mirror/proof'),
  },
  {
    what: 'mirrors: the length of a proof is not compared',
    file: 'src/mirror/blob-proofs.ts',
    find: 'knownBytes === undefined || sizeBytes === knownBytes',
    replace: 'knownBytes === undefined || true',
    guard: http('mirror/proof'),
  },
  {
    what: 'mirrors: passwords go wherever upstream says',
    file: 'src/upstream/tokens.ts',
    find: 'if (basic !== undefined) await requireTokenServer(',
    replace: 'if (basic === null) await requireTokenServer(',
    guard: http('mirror/realms'),
  },
  {
    what: 'mirrors: the words of strangers are passed on',
    file: 'src/upstream/status.ts',
    find: 'const said = how.isOwn ?',
    replace: 'const said = how ?',
    guard: http('mirror/realms'),
  },
  {
    what: 'mirrors: an IPv4 address in IPv6 is not looked at',
    file: 'src/upstream/target-rules.ts',
    find: 'const carried = carriedIpv4(plain)',
    replace: 'const carried = carriedIpv4(plain) && undefined',
    guard: unit('upstream/target-rules'),
  },
  {
    what: 'mirrors: header lines of upstreams are trimmed by an expression',
    file: 'src/upstream/http1-head.ts',
    find: 'const value = trimBlanks(line, colon + 1)',
    replace:
      'const value = /^[ \\t]*([^\\r\\n\\0]*?)[ \\t]*$/.exec(line.slice(colon + 1))?.[1] ?? trimBlanks(line, 0)',
    guard: unit('upstream/hostile-answers'),
  },
  {
    what: 'mirrors: a client has as many pass-throughs as it likes',
    file: 'src/mirror/pass-budget.ts',
    find: 'const perClientMax = 2',
    replace: 'const perClientMax = 2_000',
    guard: unit('mirror/pass-budget'),
  },
  {
    what: 'mirrors: a slow reader keeps upstream’s connection',
    file: 'src/upstream/pass-through.ts',
    find: 'if (isSlow && this.#takenBytes < takenBytesMin) {',
    replace: 'if (isSlow && this.#takenBytes < 0) {',
    guard: unit('upstream/pass-through'),
  },
  {
    what: 'mirrors: a fill that was stopped holds the connection that it had asked for',
    file: 'src/blobs/fill/receiver.ts',
    find: 'hold its connection for ever.\n      body.abort()\n',
    replace: 'hold its connection for ever.\n',
    guard: unit('blobs/fill/receiver'),
  },
  {
    what: 'mirrors: a fill that the store does not take holds its connection',
    file: 'src/blobs/fill/fill.ts',
    find: 'connection for ever.\n        first.body.abort()\n',
    replace: 'connection for ever.\n',
    guard: unit('blobs/fill/fill'),
  },
  {
    what: 'mirrors: an answer to a range goes on wherever it likes',
    file: 'src/blobs/fill/receiver.ts',
    find: 'return offset === this.#receivedBytes && isSame',
    replace: 'return isSame',
    guard: unit('blobs/fill/receiver'),
  },
  {
    what: 'mirrors: two mirrors of one host count apart',
    file: 'src/upstream/account.ts',
    find: 'if (known !== undefined) {\n      known.lower(limits)',
    replace: 'if (known?.tokens === null) {\n      known.lower(limits)',
    guard: http('mirror/accounts'),
  },
  {
    what: 'mirrors: one that always has a credential limits those that have none',
    file: 'src/upstream/tokens.ts',
    find: 'return [...found, credential]',
    replace: 'return [...found, credential, undefined]',
    guard: unit('upstream/credentials'),
  },
  {
    what: 'mirrors: two credentials of a mirror share its connections',
    file: 'src/upstream/client.ts',
    find: '      pipelining: 1,\n',
    replace: '      pipelining: 1,\n      connections: 1,\n',
    guard: http('mirror/accounts'),
  },
  {
    what: 'mirrors: all credentials of a host count together',
    file: 'src/upstream/account.ts',
    find: 'return JSON.stringify([origin, caFile, proxy, who])',
    replace: 'return JSON.stringify([origin, caFile, proxy, who === null])',
    guard: http('mirror/accounts'),
  },
  {
    what: 'mirrors: of two limits on connections the first one holds',
    file: 'src/upstream/slots.ts',
    find: 'this.#set(Math.min(perOrigin, this.#perOrigin))',
    replace: 'this.#set(Math.max(perOrigin, this.#perOrigin))',
    guard: http('mirror/accounts'),
  },
  {
    what: 'mirrors: our own line counts as a failure of the host',
    file: 'src/upstream/answer.ts',
    find: "new UpstreamError('busy', message, { host, isOurs: true })",
    replace: "new UpstreamError('timeout', message, { host })",
    guard: unit('upstream/answer'),
  },
  {
    what: 'mirrors: a far range waits for the fill',
    file: 'src/mirror/range-source.ts',
    find: 'const reachMs = 1_000',
    replace: 'const reachMs = 100_000',
    guard: http('mirror/ranges'),
  },
  {
    what: 'mirrors: a refusal of upstream is a failure',
    file: 'src/upstream/status.ts',
    find: "return isOwn ? 'denied' : kindOfLink(method)",
    replace: "return isOwn ? 'auth' : kindOfLink(method)",
    guard: http('mirror/dialects'),
  },
  {
    what: 'mirrors: refusals are forgotten at once',
    file: 'src/mirror/negative-cache.ts',
    find: 'const keptMs = 10_000',
    replace: 'const keptMs = 0',
    guard: http('mirror/dialects'),
  },
  {
    what: 'mirrors: only one size of a page is asked for',
    file: 'src/mirror/tag-lists.ts',
    find: 'PAGE_SIZES: readonly (number | undefined)[] = [1_000, 100, undefined]',
    replace: 'PAGE_SIZES: readonly (number | undefined)[] = [10_000]',
    guard: http('mirror/lists'),
  },
  {
    what: 'mirrors: no referrers is said where nobody could be asked',
    file: 'src/http/handlers/mirrored.ts',
    find: "if (found.kind === 'none') throw noReferrers(mirror, subject)\n    const { stale } = found",
    replace:
      "if (found.kind === 'none' && noReferrers.length === 0) return\n    const stale = found.kind === 'none' ? undefined : found.stale",
    guard: http('mirror/lists'),
  },
  {
    what: 'mirrors: a list is read in one turn',
    file: 'src/upstream/json-pieces.ts',
    find: 'const turnBytes = 64 * 1024',
    replace: 'const turnBytes = 64 * 1024 * 1024',
    guard: unit('mirror/lists'),
  },
  {
    what: 'mirrors: annotations are stored with the names that MessagePack changes',
    file: 'src/mirror/referrer-lists.ts',
    find: '...(annotationsJson === undefined ? {} : { annotationsJson }),',
    replace:
      '...(annotationsJson === undefined ? {} : { annotations: JSON.parse(String(annotationsJson)) }),',
    guard: http('mirror/lists'),
  },
  {
    what: 'mirrors: hosts are compared letter by letter',
    file: 'src/mirror/addressing.ts',
    find: 'const host = normalHost(namespace)\n',
    replace: 'const host = normalHost(namespace) === namespace ? namespace : undefined\n',
    guard: http('mirror/hosts'),
  },
  {
    what: 'mirrors: what exists decides before who asks',
    file: 'src/mirror/addressing.ts',
    find: "if (may('push', local) || !may(action, repository)) return false\n    return !may(action, local) || !isHere()",
    replace: 'return [may, action, repository].length > 0 && !isHere()',
    guard: http('mirror/root'),
  },
  {
    what: 'mirrors: a challenge tells that a local name was answered lately',
    file: 'src/http/dispatch.ts',
    find: 'if (isRefused) by.require(request, mirrors.widened(pullOf(prepared.repository), request))',
    replace: 'if (isRefused) by.require(request, pullOf(prepared.repository))',
    guard: http('mirror/root'),
  },
  {
    what: 'mirrors: what a push would refuse is refused to pulls',
    file: 'src/mirror/manifests.ts',
    find: "if (error.status < 500) logger.debug(fields, 'mirrored manifest is passed on as it is')\n      else",
    replace: 'if (error.status < 500) throw error\n      else',
    guard: http('mirror/passed'),
  },
]
