/**
 * @module Tokens of an issuer whose keys are at a URL, through the front door: it need not be there
 * when the registry starts.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, expect, test } from 'vitest'
import { bearer } from '../../support/access.ts'
import { describeRegistry, ENGINES, until } from '../../support/in-process.ts'
import { refusal } from '../../support/registry-client.ts'

const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k' }] })
const issuer = createServer((_request, response) => response.end(keys))
await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve))
const { port } = issuer.address() as AddressInfo
await new Promise((resolve) => issuer.close(resolve))
afterAll(() => {
  issuer.closeAllConnections()
  issuer.close()
})

const jwks = `http://127.0.0.1:${port}/jwks.json`
const config = {
  auth: { foreign: { issuer: 'https://ci.test', jwks, audience: 'registry', user_claim: 'job' } },
  access: [{ repositories: ['ci/*'], users: ['oidc:build'], actions: ['pull', 'list'] }],
}
const sign = (claims: Record<string, unknown>) =>
  new SignJWT({ iss: 'https://ci.test', aud: 'registry', job: 'build', ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'k' })
    .setExpirationTime('5m')
    .sign(privateKey)

describeRegistry('keys by URL', { config, engines: ENGINES.slice(0, 1) }, (registry) => {
  test('are fetched when a token needs them; till then it is 503, not wrong', async () => {
    const { client } = registry()
    const good = bearer(await sign({}))
    const early = await client.get('/v2/', good)
    expect(refusal(early)).toBe('503 UNAVAILABLE')
    expect(Number(early.headers['retry-after'])).toBeGreaterThan(0)
    expect(registry().logLines.some((line) => line.includes('cannot be fetched'))).toBe(true)
    await new Promise<void>((resolve) => issuer.listen(port, '127.0.0.1', resolve))
    await until(async () => (await client.get('/v2/', good)).status === 200)
    expect((await client.get('/v2/ci/app/tags/list', good)).status).toBe(404)
    expect((await client.get('/v2/other/app/tags/list', good)).status).toBe(401)
    const other = bearer(await sign({ job: 'another' }))
    expect((await client.get('/v2/ci/app/tags/list', other)).status).toBe(401)
    const elsewhere = bearer(await sign({ aud: 'elsewhere' }))
    expect((await client.get('/v2/', elsewhere)).status).toBe(401)
  })
})
