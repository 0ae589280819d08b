/** @module The breaks of how nodes become a mesh, stay one, and go. */
import { vitest } from '../breaks.mjs'

const find = 'src/mesh/membership/find.ts'
const membership = vitest('unit', 'test/unit/mesh/membership/find.test.ts')
const own = vitest('unit', 'test/unit/mesh/membership/own-address.test.ts')
const roster = vitest('unit', 'test/unit/mesh/membership/roster.test.ts')
const truncation = vitest('unit', 'test/unit/metadata/log/truncation.test.ts')
const away = vitest('unit', 'test/unit/mesh/membership/away.test.ts')
const secrets = vitest('unit', 'test/unit/server/shared-secrets.test.ts')

const logins = vitest('mesh', 'test/mesh/logins.test.ts')

export const BREAKS = [
  {
    what: 'mesh: a node that is killed while it leaves stays draining',
    file: 'src/server/mesh/node.ts',
    find: 'if (await this.#folder.isLeaving()) this.#leaving.goOn().catch(() => undefined)',
    replace: '',
    guard: vitest('mesh', 'test/mesh/leave.test.ts'),
  },
  {
    what: 'mesh: a node that was taken back while it was away leaves all the same',
    file: 'src/server/mesh/leaving.ts',
    find: "if (this.#own?.state !== 'draining') return keep(false)",
    replace: '',
    guard: vitest('unit', 'test/unit/server/mesh/leaving.test.ts'),
  },
  {
    what: 'mesh: a node is ready before its etcd has its part again',
    file: 'src/server/mesh/gate.ts',
    find: 'let hasServed = !had',
    replace: 'let hasServed = had || !had',
    guard: vitest('unit', 'test/unit/server/mesh/gate.test.ts'),
  },
  {
    what: 'mesh: a witness is ready without its etcd',
    file: 'src/server/mesh/witness/health.ts',
    find: 'const isReady = isServing()',
    replace: 'const isReady = isServing() || url !== undefined',
    guard: vitest('unit', 'test/unit/server/mesh/witness-health.test.ts'),
  },
  {
    what: 'mesh: failed logins are not told to the other nodes',
    file: 'src/mesh/peers/logins.ts',
    find: 'if (!this.#sending.has(member)) void this.#send(member)',
    replace: '',
    guard: logins,
  },
  {
    what: 'mesh: good logins are not told to the other nodes',
    file: 'src/auth/passwords.ts',
    find: "onJudged({ is: 'good', name, client })",
    replace: '',
    guard: logins,
  },
  {
    what: 'mesh: hashes of what operators give are made without a key',
    file: 'src/server/mesh/alike.ts',
    find: "createHmac('sha256', this.#key())",
    replace: "createHash('sha256')",
    guard: vitest('unit', 'test/unit/server/mesh/alike.test.ts'),
  },
  {
    what: 'mesh: files that differ look the same',
    file: 'src/server/mesh/alike.ts',
    find: 'return { file: await hashOf(path) }',
    replace: 'return { file: true }',
    guard: vitest('unit', 'test/unit/server/mesh/alike.test.ts'),
  },
  {
    what: 'mesh: nodes that differ are not named',
    file: 'src/server/mesh/overview.ts',
    find: 'hashes.set(hash, [...(hashes.get(hash) ?? []), number])',
    replace: 'hashes.set(what, [...(hashes.get(what) ?? []), number])',
    guard: vitest('mesh', 'test/mesh/differences.test.ts'),
  },
  {
    what: 'members: a start that the log does not let through ends the process',
    file: 'src/cli/commands/serve.ts',
    find: 'if (isOfTheLog(error)) {',
    replace: 'if (isOfTheLog(error) && giveUp.signal.aborted) {',
    guard: vitest('unit', 'test/unit/cli.test.ts'),
  },
  {
    what: 'members: half of a list founds a mesh',
    file: find,
    find: '(agreeing.length + 1) * 2 <= founders.length',
    replace: '(agreeing.length + 1) * 2 < founders.length',
    guard: membership,
  },
  {
    what: 'members: a node founds a mesh without most of the votes',
    file: find,
    find: '.filter((said) => said.vote && isSame(',
    replace: '.filter((said) => isSame(',
    guard: membership,
  },
  {
    what: 'members: a node whose vote another one has founds a mesh',
    file: find,
    find: 'if (!(await vote(own.advertise))) return undefined',
    replace: 'await vote(own.advertise)',
    guard: membership,
  },
  {
    what: 'members: nodes with another list count',
    file: find,
    find: 'filter(([, said]) => isSame(said.founders, founders))',
    replace: 'filter(([, said]) => said.founders.length > 0)',
    guard: membership,
  },
  {
    what: 'members: a node that only follows a name founds a mesh',
    file: find,
    find: 'if (own.names.length > 0 && own.others.length === 0)',
    replace: 'if (own.names.length > 9)',
    guard: membership,
  },
  {
    what: 'members: a node that was refused founds a mesh',
    file: find,
    find: 'if (refusal !== undefined) throw refusal',
    replace: 'if (refusal === null) throw refusal',
    guard: membership,
  },
  {
    what: 'members: content of another node is left out',
    file: find,
    find: '(withData[0] ?? founders[0])',
    replace: 'founders[0]',
    guard: membership,
  },
  {
    what: 'members: two nodes with content found one mesh',
    file: find,
    find: 'if (hasData && withData.length > 0)',
    replace: 'if (hasData && withData.length > 9)',
    guard: membership,
  },
  {
    what: 'members: a node asks itself',
    file: 'src/mesh/membership/own-address.ts',
    find: 'if (port !== bind.port) return false',
    replace: 'if (port === bind.port) return false',
    guard: own,
  },
  {
    what: 'members: who has left leads',
    file: 'src/mesh/membership/roster.ts',
    find: "find(({ number, state }) => state !== 'left' && isPresent(rows, number))",
    replace: 'find(({ number }) => isPresent(rows, number))',
    guard: roster,
  },
  {
    what: 'members: the log waits for ever for a member that is away',
    file: 'src/metadata/log/truncation.ts',
    find: 'Math.max(durable, applied - awayFactor * kept)',
    replace: 'durable',
    guard: truncation,
  },
  {
    what: 'members: the log forgets what a member lacks',
    file: 'src/mesh/membership/roster.ts',
    find: 'Math.min(...durable)',
    replace: 'Math.max(...durable)',
    guard: roster,
  },
  {
    what: 'members: a member that comes and goes is out by its first absence',
    file: 'src/mesh/membership/away.ts',
    find: '        this.#since.delete(number)\n',
    replace: '',
    guard: away,
  },
  {
    what: 'members: of two access tokens that are made at once one is lost',
    file: 'src/server/mesh/shared-secrets.ts',
    find: '[...kept, ...added]',
    replace: '[...kept]',
    guard: secrets,
  },
  {
    what: 'members: an access token that was taken back comes back',
    file: 'src/server/mesh/shared-secrets.ts',
    find: 'return mine.has(text) || !known.has(text)',
    replace: 'return mine.has(text) || text.length > 0',
    guard: secrets,
  },
  {
    what: 'members: a node that starts again votes again',
    file: 'src/mesh/membership/vote.ts',
    find: 'isOfList ? kept.founder : undefined',
    replace: 'undefined',
    guard: vitest('unit', 'test/unit/mesh/membership/vote.test.ts'),
  },
  {
    what: 'members: a vote is given before it is written down',
    file: 'src/mesh/membership/vote.ts',
    find: '    await this.#kept\n',
    replace: '',
    guard: vitest('unit', 'test/unit/mesh/membership/vote.test.ts'),
  },
  {
    what: 'members: a witness takes part',
    file: 'src/metadata/apply/entry.ts',
    find: "known.state !== 'left' && known.state !== 'witness'",
    replace: "known.state !== 'left'",
    guard: vitest('unit', 'test/unit/metadata/log/entry.test.ts'),
  },
  {
    what: 'members: the log waits for a witness',
    file: 'src/metadata/rows/member-state.ts',
    find: "return state !== 'left' && state !== 'witness'",
    replace: "return state !== 'left'",
    guard: vitest('unit', 'test/unit/mesh/membership/roster.test.ts'),
  },
  {
    what: 'mesh: pieces that are back because nothing was applied are not found',
    file: 'src/metadata/log/held-sessions.ts',
    find: '    this.#withoutParts.clear()\n',
    replace: '',
    guard: vitest('unit', 'test/unit/metadata/log/held-sessions.test.ts'),
  },
]
