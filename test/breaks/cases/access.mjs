/** @module The breaks of access: credentials and their exchange, the judge of configurations, starts. */
import { vitest } from '../breaks.mjs'

const exchange = vitest('http', 'test/http/access/exchange.test.ts')
const judge = vitest('unit', 'test/unit/server/judge.test.ts')
const foreign = vitest('unit', 'test/unit/auth/foreign-tokens.test.ts')

const session = vitest('http', 'test/http/access/session.test.ts')

export const BREAKS = [
  {
    what: 'pages: the cookie of a login is good for the registry API',
    file: 'src/http/access/session-cookie.ts',
    find: "const pathHead = '/admin/'",
    replace: "const pathHead = '/'",
    guard: session,
  },
  {
    what: 'pages: of two cookies the first counts',
    file: 'src/http/access/session-cookie.ts',
    find: 'if (found !== undefined) return { token: undefined }',
    replace: 'if (found !== undefined) continue',
    guard: session,
  },
  {
    what: 'pages: a change by cookie needs no origin',
    file: 'src/http/browsers.ts',
    find: 'if (isByCookie && !NOT_CHANGING.has(request.method)) {',
    replace: 'if (isByCookie && request.method === "") {',
    guard: session,
  },
  {
    what: 'pages: a login that was ended goes on',
    file: 'src/auth/sessions.ts',
    find: 'if (ended.isRevoked({ user, ids: [sid], at })) {',
    replace: 'if (ended.isRevoked({ user, ids: [], at })) {',
    guard: session,
  },
  {
    what: 'pages: a logout counts when the file is looked at again',
    file: 'src/server/access/page-logins.ts',
    find: '    take(list)\n  }',
    replace: '  }',
    guard: session,
  },
  {
    what: 'pages: any token of ours is a cookie',
    file: 'src/auth/sessions.ts',
    find: 'await tokens.claimsOf(token, sessionType)',
    replace: "await tokens.claimsOf(token, 'JWT').catch(() => tokens.claimsOf(token, sessionType))",
    guard: session,
  },
  {
    what: 'pages: a login that is renewed lives for ever',
    file: 'src/auth/sessions.ts',
    find: 'Math.min(iat + sessionLifeMs / 1000, lifeEnd, end)',
    replace: 'Math.min(iat + sessionLifeMs / 1000, end)',
    guard: session,
  },
  {
    what: 'pages: the list of ended logins grows with each',
    file: 'src/auth/revocations.ts',
    find: 'own.length < endedOfUserMax',
    replace: 'own.length >= 0',
    guard: session,
  },
  {
    what: 'B13: a bearer token of an access token lists what its user may list',
    file: 'src/server/access/access.ts',
    find: '{ ...caller, grant: caller.bounds }',
    replace: '{ ...caller, grant: undefined }',
    guard: exchange,
  },
  {
    what: 'B13: a refresh token renews itself for ever',
    file: 'src/auth/token-service.ts',
    find: 'request.login ?? { id: randomUUID(), at: now }',
    replace: '{ id: request.login?.id ?? randomUUID(), at: now }',
    guard: exchange,
  },
  {
    what: 'B13: a login that was taken back goes on',
    file: 'src/auth/token-service.ts',
    find: "ids: [claims['sid'], claims.jti]",
    replace: 'ids: [claims.jti]',
    guard: exchange,
  },
  {
    what: 'B13: unknown names cost what the first user costs',
    file: 'src/auth/decoys.ts',
    find: 'if (this.#steps.length < 2)',
    replace: 'if (this.#steps.length < 20)',
    guard: vitest('unit', 'test/unit/auth/decoys.test.ts'),
  },
  {
    what: 'B13: a name of another issuer is one of ours',
    file: 'src/auth/foreign-tokens.ts',
    find: 'name: userPrefix + name',
    replace: 'name',
    guard: foreign,
  },
  {
    what: 'B13: an access claim that is a text limits nothing',
    file: 'src/auth/foreign-tokens.ts',
    find: 'if (access === undefined) return undefined',
    replace: "if (access === undefined || typeof access === 'string') return undefined",
    guard: foreign,
  },
  {
    what: 'F2: a password grant without a name is nobody',
    file: 'src/http/handlers/token.ts',
    find: "[form.get('username'), form.get('password')]",
    replace: "[form.get('username') ?? ' ', form.get('password') ?? ' ']",
    guard: exchange,
  },
  {
    what: 'F1: a blank in front of a name belongs to it',
    file: 'src/auth/htpasswd.ts',
    find: 'const line = raw.trim()',
    replace: "const line = raw.replace(/\\r$/, '')",
    guard: vitest('unit', 'test/unit/auth/htpasswd-files.test.ts'),
  },
  {
    what: 'E1: serve does not ask the judge',
    file: 'src/cli/commands/serve.ts',
    find: 'const { config } = await judgeConfig(loadOptions(line, terminal.environment))',
    replace:
      "const config = await (await import('../../config/load.ts')).loadConfig(loadOptions(line, terminal.environment))",
    guard: judge,
  },
  {
    what: 'E1: the keys of certificates are not compared',
    file: 'src/http/engine/tls-files.ts',
    find: 'if (!certificate.checkPrivateKey(privateKey)) {',
    replace: 'if (!certificate.checkPrivateKey(privateKey) && files.cert === files.key) {',
    guard: judge,
  },
  {
    what: 'E1: a list of authorities may be anything',
    file: 'src/server/judge/mirrors.ts',
    find: 'if (parts.length === 0) return',
    replace: 'if (parts.length < 0) return',
    guard: judge,
  },
  {
    what: 'E2: what was opened is closed in the order of its opening',
    file: 'src/runtime/life-cycle.ts',
    find: 'for (let close = this.#closes.pop(); close !== undefined; close = this.#closes.pop()) {',
    replace: 'for (let close = this.#closes.shift(); close; close = this.#closes.shift()) {',
    guard: vitest('unit', 'test/unit/runtime/life-cycle.test.ts'),
  },
  {
    what: 'E2: a file that is followed goes on being looked at after a failed start',
    file: 'src/server/access/token-files.ts',
    find: "life.opened('signing keys', watched, (one) => one.stop())",
    replace: "life.opened('signing keys', watched, () => undefined)",
    guard: vitest('http', 'test/http/start-failures.test.ts'),
  },
  {
    what: 'F2: Forwarded counts beside the headers that the proxy writes',
    file: 'src/http/engine/exchange.ts',
    find: 'return isOther ? undefined : parseForwarded(',
    replace: "return isOther && this.path === '' ? undefined : parseForwarded(",
    guard: vitest('http', 'test/http/access/trail.test.ts'),
  },
  {
    what: 'a manifest is pushed with no more than the right to pull',
    file: 'src/http/routes.ts',
    find: "methods: { ...READ, PUT: 'push', DELETE: 'delete' }",
    replace: "methods: { ...READ, PUT: 'pull', DELETE: 'delete' }",
    guard: vitest('http', 'test/http/access/matrix.test.ts'),
  },
]
