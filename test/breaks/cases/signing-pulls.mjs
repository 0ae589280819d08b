/**
 * @module The breaks of verdicts that are kept and of the gate before pulls: what takes the force from a verdict, who
 * is let through, and what is revoked.
 */
import { vitest } from '../breaks.mjs'

const drops = vitest('unit', 'test/unit/metadata/verdict-drops.test.ts')
const standings = vitest('unit', 'test/unit/signing/standings.test.ts')
const gate = vitest('unit', 'test/unit/signing/pull-gate.test.ts')
const http = (file) => vitest('http', `test/http/signing/${file}.test.ts`)

export const BREAKS = [
  {
    what: 'verdicts: a tag of signatures moves and the verdict stays',
    file: 'src/metadata/verdicts/drops.ts',
    find: "    if (this.#get('tags', key)?.digest === row?.digest) return\n",
    replace: '    return\n',
    guard: drops,
  },
  {
    what: 'verdicts: a referrer goes and the verdict stays',
    file: 'src/metadata/verdicts/drops.ts',
    find: 'if (!isSame || before?.artifactType !== row?.artifactType) {',
    replace: 'if (row !== undefined) {',
    guard: drops,
  },
  {
    what: 'verdicts: an index goes and what it lists keeps its verdict',
    file: 'src/metadata/verdicts/drops.ts',
    find: "if ((this.#get('parents', key) === undefined) === (row === undefined)) return\n",
    replace: 'if (row === undefined) return\n',
    guard: drops,
  },
  {
    what: 'verdicts: what an index lists does not follow it',
    file: 'src/metadata/verdicts/drops.ts',
    find: 'if (!isImageIndex(row.mediaType) || depth === levelsMax) continue',
    replace: 'continue',
    guard: drops,
  },
  {
    what: 'verdicts: one that is being worked out is not lost',
    file: 'src/metadata/verdicts/drops.ts',
    find: "if (state === 'pending' && row.judgedBy === '') return",
    replace: "if (state === 'pending') return",
    guard: standings,
  },
  {
    what: 'verdicts: one is written although its evidence has changed',
    file: 'src/signing/pulls/standings.ts',
    find: "checks: [{ check: 'unchanged', in: 'verdicts', key, row: token }],",
    replace: 'checks: [],',
    guard: standings,
  },
  {
    what: 'verdicts: one of the old keys is written as of the new ones',
    file: 'src/signing/pulls/standings.ts',
    find: '      if (judgedBy !== this.#fingerprint(policy)) continue\n',
    replace: '',
    guard: standings,
  },
  {
    what: 'verdicts: one of other keys counts',
    file: 'src/signing/pulls/standings.ts',
    find: 'const isCurrent = row.judgedBy === this.#fingerprint(policy)',
    replace: 'const isCurrent = true',
    guard: standings,
  },
  {
    what: 'verdicts: an answer outlives what it rests on',
    file: 'src/signing/pulls/standings.ts',
    find: 'standing.seal.isBroken = true',
    replace: 'standing.seal.isBroken = false',
    guard: http('races'),
  },
  {
    what: 'pulls: a broken seal is not looked at',
    file: 'src/http/prepared-answers.ts',
    find: ' && prepared.seal?.isBroken !== true',
    replace: '',
    guard: gate,
  },
  {
    what: 'pulls: what one caller may get is prepared for all',
    file: 'src/http/handlers/manifests.ts',
    find: "if (verdict === undefined || verdict.isFor === 'all') this.#answers.put",
    replace: 'this.#answers.put',
    guard: http('exemptions'),
  },
  {
    what: 'pulls: a token for pushes makes a pusher',
    file: 'src/http/access/gate.ts',
    find: 'this.#options.rules.decide(caller, action, repository, request).isAllowed,',
    replace: 'caller.grant?.allows(action, repository) === true,',
    guard: http('exemptions'),
  },
  {
    what: 'pulls: a verdict that is late lets pass',
    file: 'src/signing/pulls/gate.ts',
    find: 'refusal: error ?? refusal(policy, { ...it, gate })',
    replace: 'refusal: error === undefined ? refusal(policy, { ...it, gate }) : undefined',
    guard: gate,
  },
  {
    what: 'pulls: whoever asks whether it is unchanged is not refused',
    file: 'src/signing/pulls/gate.ts',
    find: "if (puller.method !== 'GET') return verdict",
    replace: "if (puller.method !== 'HEAD') return verdict",
    guard: http('pulls'),
  },
  {
    what: 'pulls: caches keep what may be refused later',
    file: 'src/http/handlers/manifests.ts',
    find: "return isTag || verdict?.isGated === true ? 'no-cache'",
    replace: "return isTag ? 'no-cache'",
    guard: http('pulls'),
  },
  {
    what: 'mirrors: a tag follows upstream to what is not verified',
    file: 'src/mirror/verification.ts',
    find: '    if (!this.isEnforced(repository)) return true\n',
    replace: '    if (repository !== undefined) return true\n',
    guard: vitest('unit', 'test/unit/mirror/verification.test.ts'),
  },
  {
    what: 'mirrors: a HEAD says a digest that the tag may not mean',
    file: 'src/mirror/tags.ts',
    find: 'if (!isHead || this.verification.isEnforced(repository))',
    replace: 'if (!isHead)',
    guard: http('mirrors'),
  },
  {
    what: 'revoked: prepared answers stay',
    file: 'src/server/http.ts',
    find: '  signed.revoked.onChange(() => answers.clear())\n',
    replace: '',
    guard: http('revoked'),
  },
  {
    what: 'revoked: an index does not take along what it lists',
    file: 'src/signing/revoked.ts',
    find: 'if (!all.has(key[1])) all.set(key[1], root)',
    replace: '',
    guard: http('revoked'),
  },
  {
    what: 'revoked: an index that comes later takes nothing along',
    file: 'src/signing/revoked.ts',
    find: 'if (this.#all.size > 0 && this.#all.has(digest)) this.renew()',
    replace: '',
    guard: http('revoked'),
  },
  {
    what: 'revoked: a tag may be given all the same',
    file: 'src/signing/gate.ts',
    find: '    if (this.#revoked.of(digest) !== undefined) return tags\n',
    replace: '',
    guard: http('revoked'),
  },
]
