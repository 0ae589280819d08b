/**
 * @module Tokens of an issuer whose keys are fetched by URL: the keys change, the issuer goes away.
 */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ForeignTokens } from '../../../src/auth/foreign-tokens.ts'

const settings = {
  issuer: 'https://ci.test',
  audience: 'registry',
  userClaim: 'sub',
  groupsClaim: 'groups',
  userPrefix: 'oidc:',
  groupPrefix: 'oidc:',
}

let issuer: Server
let fetched: number
let answer: { status: number; body: string }
const states: (Error | undefined)[] = []

beforeEach(async () => {
  fetched = 0
  states.length = 0
  answer = { status: 200, body: '{"keys":[]}' }
  issuer = createServer((_request, response) => {
    fetched += 1
    response.writeHead(answer.status, { 'Content-Type': 'application/json' }).end(answer.body)
  })
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve))
})
afterEach(() => {
  issuer.closeAllConnections()
  issuer.close()
})

function tokens(times: { cooldownMs?: number; retryMs?: number; staleMs?: number } = {}) {
  const url = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/jwks.json`
  const usual = { cooldownMs: 0, retryMs: 0, staleMs: 60_000 }
  const onState = (problem: Error | undefined) => states.push(problem)
  return new ForeignTokens(settings, { url, ...usual, ...times, onState })
}

async function key(kid: string) {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const sign = (claims: Record<string, unknown> = {}) =>
    new SignJWT({ iss: settings.issuer, aud: 'registry', sub: 'job', ...claims })
      .setProtectedHeader({ alg: 'ES256', kid })
      .setExpirationTime('5m')
      .sign(privateKey)
  return { sign, jwk: { ...(await exportJWK(publicKey)), kid } }
}

const serve = (...keys: object[]) => {
  answer = { status: 200, body: JSON.stringify({ keys }) }
}

test('a new key of the issuer counts at once, one that it took back no more', async () => {
  const [first, second] = [await key('first'), await key('second')]
  serve(first.jwk)
  const foreign = tokens()
  expect((await foreign.verify(await first.sign())).caller.name).toBe('oidc:job')
  expect((await foreign.verify(await first.sign())).caller.name).toBe('oidc:job')
  expect(fetched).toBe(1)
  serve(second.jwk)
  expect((await foreign.verify(await second.sign())).caller.name).toBe('oidc:job')
  expect(fetched).toBe(2)
  await expect(foreign.verify(await first.sign())).rejects.toMatchObject({
    reason: 'invalid-token',
  })
})

test('unknown keys are asked for once in a while only', async () => {
  const [known, strange] = [await key('known'), await key('strange')]
  serve(known.jwk)
  const foreign = tokens({ cooldownMs: 60_000 })
  await foreign.verify(await known.sign())
  for (let count = 0; count < 5; count += 1) {
    await expect(foreign.verify(await strange.sign())).rejects.toMatchObject({
      reason: 'invalid-token',
    })
  }
  expect(fetched).toBe(1)
})

test('while the issuer cannot be reached, a token is not called wrong', async () => {
  const one = await key('one')
  const foreign = tokens({ retryMs: 60_000 })
  answer = { status: 500, body: 'no' }
  for (let count = 0; count < 5; count += 1) {
    await expect(foreign.verify(await one.sign())).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  }
  // Nor is it asked for each token again.
  expect(fetched).toBe(1)
  expect(states).toHaveLength(1)
  expect(states[0]).toBeInstanceOf(Error)
})

test('an issuer that comes back is heard again', async () => {
  const one = await key('one')
  const foreign = tokens()
  answer = { status: 200, body: 'not JSON' }
  await expect(foreign.verify(await one.sign())).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  issuer.closeAllConnections()
  serve(one.jwk)
  expect((await foreign.verify(await one.sign())).caller.name).toBe('oidc:job')
})

test('the keys of before serve while it is away, and no longer than said', async () => {
  const [one, two] = [await key('one'), await key('two')]
  serve(one.jwk)
  const foreign = tokens()
  const short = tokens({ staleMs: -1 })
  await foreign.verify(await one.sign())
  await short.verify(await one.sign())
  issuer.closeAllConnections()
  await new Promise((resolve) => issuer.close(resolve))
  // A key that is not known makes them look, in vain.
  await expect(foreign.verify(await two.sign())).rejects.toMatchObject({ reason: 'invalid-token' })
  await expect(short.verify(await two.sign())).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect((await foreign.verify(await one.sign())).caller.name).toBe('oidc:job')
})

test('names and groups of another issuer are none of ours', async () => {
  const one = await key('one')
  serve(one.jwk)
  const foreign = tokens()
  const caller = async (claims: Record<string, unknown>) =>
    (await foreign.verify(await one.sign(claims))).caller
  expect(await caller({ sub: 'alice', groups: ['ci', 'admins'] })).toMatchObject({
    name: 'oidc:alice',
    groups: ['oidc:ci', 'oidc:admins'],
  })
  expect((await caller({ groups: 'my group, admins' })).groups).toEqual(['oidc:my group, admins'])
  expect((await caller({})).groups).toEqual([])
})

test('a claim of a wrong shape grants nothing', async () => {
  const one = await key('one')
  serve(one.jwk)
  const foreign = tokens()
  const caller = async (claims: Record<string, unknown>) =>
    (await foreign.verify(await one.sign(claims))).caller
  const scope = { type: 'repository', name: 'a', actions: ['pull'] }
  expect((await caller({})).grant).toBeUndefined()
  expect((await caller({ access: [scope] })).grant?.allows('pull', 'a')).toBe(true)
  const twice = await caller({ access: [scope, { ...scope, actions: ['push'] }] })
  expect(['pull', 'push'].map((action) => twice.grant?.allows(action as 'pull', 'a'))).toEqual([
    true,
    true,
  ])
  const shapes = ['repository:a:pull', '', null, 0, false, true, 7, {}, scope, [scope, 'x'], ['a']]
  const bad = [[{ ...scope, actions: 'pull' }], [{ ...scope, actions: [['pull']] }], [null]]
  for (const access of [...shapes, ...bad]) {
    const { grant } = await caller({ access })
    expect([grant?.allows('pull', 'a'), grant?.allows('list', undefined)]).toEqual([false, false])
  }
  for (const groups of [null, 0, true, {}, { ci: true }, ['ci', 7], ['ci', ['x']], [''], ['*']]) {
    expect((await caller({ groups })).groups).toEqual([])
  }
  for (const sub of ['', '*', 7, ['alice'], { name: 'a' }, 'a\nb', 'x'.repeat(256)]) {
    await expect(caller({ sub })).rejects.toMatchObject({ reason: 'invalid-token' })
  }
})
