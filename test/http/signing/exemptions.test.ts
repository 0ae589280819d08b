/**
 * @module Whom the gate before a pull lets pass: by the access rules, by name, by group, and nobody else with them.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { basic, bearer, htpasswd } from '../../support/access.ts'
import { type AuditLine, auditLines } from '../../support/audit-trail.ts'
import { describeRegistry, until } from '../../support/in-process.ts'
import { type Answer, imageManifest, sha256 } from '../../support/registry-client.ts'
import { makeSigner } from '../../support/signing.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-exempt-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'htpasswd')
const names = ['pusher', 'puller', 'scanner', 'named', 'root'] as const
writeFileSync(file, htpasswd(Object.fromEntries(names.map((name) => [name, `${name}-secret`]))))
const trail = join(folder, 'audit.log')

const body = JSON.stringify(imageManifest({ ...fake('config'), size: 2 }, []))
function fake(seed: string) {
  return { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(seed), size: 2 }
}
const digest = sha256(body)

const policy = (name: string, exempt: object) => ({
  name,
  repositories: [`${name}/**`],
  mode: 'enforce',
  gates: ['pull'],
  require: [{ signature: { by: [{ key: 'release' }] } }],
  exempt,
})
const config = {
  auth: {
    type: 'htpasswd',
    htpasswd_file: file,
    groups: { scanners: ['scanner'] },
    tokens: { realm: 'http://registry.test/token' },
  },
  access: [
    { repositories: ['**'], users: ['root'], actions: ['pull', 'list', 'admin'] },
    { repositories: ['**'], users: ['pusher'], actions: ['pull', 'push', 'delete', 'list'] },
    { repositories: ['**'], users: ['puller', 'scanner', 'named'], actions: ['pull'] },
  ],
  audit: { file: trail },
  policy: { allow_missing_blobs: true },
  signing: {
    keys: [{ name: 'release', pem: makeSigner().pem }],
    policies: [
      policy('usual', { users: ['named'], groups: ['scanners'] }),
      policy('strict', { pushers: false }),
      policy('listed', { pushers: false, digests: [digest] }),
    ],
  },
}

describeRegistry('an exemption', { config }, (registry) => {
  const as = (name: (typeof names)[number]) => basic(name, `${name}-secret`)
  const path = (repository: string) => `/v2/${repository}/app/manifests/v1`
  const pull = (repository: string, headers: Record<string, string>): Promise<Answer> =>
    registry().client.get(path(repository), headers)
  const token = async (name: (typeof names)[number], scope: string) => {
    const query = new URLSearchParams({ service: 'registry.test', scope })
    const answer = await registry().client.get(`/token?${query}`, as(name))
    return bearer((answer.json as { token: string }).token)
  }

  beforeAll(async () => {
    for (const repository of ['usual', 'strict', 'listed']) {
      const headers = {
        ...as('pusher'),
        'Content-Type': 'application/vnd.oci.image.manifest.v1+json',
      }
      const pushed = await registry().client.request('PUT', path(repository), { headers, body })
      expect(pushed.status, pushed.text).toBe(201)
    }
  })

  test('whoever may push there may pull, and nothing of it is kept for others', async () => {
    for (let time = 0; time < 3; time += 1) {
      const pulled = await pull('usual', as('pusher'))
      expect(pulled.status, pulled.text).toBe(200)
      expect(pulled.headers['cache-control']).toBe('no-store')
      expect(pulled.headers['x-fastregistry-signature']).toBe('unsigned; policy="usual"')
      expect((await pull('usual', as('puller'))).status).toBe(403)
    }
  })

  test('the rules decide, not what the token was asked for', async () => {
    const scope = 'repository:usual/app:pull'
    expect((await pull('usual', await token('pusher', scope))).status).toBe(200)
    const wide = 'repository:usual/app:pull,push'
    expect((await pull('usual', await token('puller', wide))).status).toBe(403)
  })

  test('names and groups of the policy pass', async () => {
    expect((await pull('usual', as('scanner'))).status).toBe(200)
    expect((await pull('usual', as('named'))).status).toBe(200)
    expect((await pull('strict', as('scanner'))).status).toBe(403)
    expect((await pull('strict', as('pusher'))).status).toBe(403)
  })

  test('a digest of the policy passes for everybody', async () => {
    const pulled = await pull('listed', as('puller'))
    expect(pulled.status, pulled.text).toBe(200)
    expect(pulled.headers['cache-control']).toBe('no-cache')
  })

  test('each refusal is in the trail, counted by who asked, and told once', async () => {
    const { client } = registry()
    for (let time = 0; time < 3; time += 1) await pull('strict', as('puller'))
    const isIt = (line: AuditLine) =>
      line['repository'] === 'strict/app' && line['decision'] === 'refused'
    await until(() => auditLines(trail).some(isIt))
    const line = auditLines(trail).find(isIt)
    expect(line).toMatchObject({ action: 'pull', decision: 'refused', reason: 'signature' })
    const headers = as('root')
    const listed = await client.get(
      '/admin/signatures/violations/pulls?repository=strict/app',
      headers,
    )
    expect(listed.status, listed.text).toBe(200)
    const { pulls } = listed.json as { pulls: { count: number; pullers: object[] }[] }
    expect(pulls).toHaveLength(1)
    expect(pulls[0]).toMatchObject({
      repository: 'strict/app',
      digest,
      policy: 'strict',
      mode: 'enforce',
      state: 'unsigned',
    })
    expect(pulls[0]!.pullers[0]).toMatchObject({ user: 'puller', address: '127.0.0.1' })
    expect(pulls[0]!.count).toBeGreaterThanOrEqual(3)
    const events = await client.get(
      '/admin/events?action=pull-denied&repository=strict/app',
      headers,
    )
    expect((events.json as { events: object[] }).events).toHaveLength(1)
  })
})
