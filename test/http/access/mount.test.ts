/**
 * @module Mounts with bearer tokens: a token that is too narrow for the source is sent back for a
 * wider one where the rules would give it, and never told of a source that they would not.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { basic, bearer, htpasswd } from '../../support/access.ts'
import { type AuditLine, auditLines } from '../../support/audit-trail.ts'
import { lastLine, runCli } from '../../support/cli.ts'
import { describeRegistry, ENGINES, until } from '../../support/in-process.ts'
import { expectStatus, sha256 } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-mounts-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd({ root: 'root-secret', alice: 'alice-secret' }))
const trail = join(folder, 'audit.log')
const actions = ['pull', 'push', 'delete', 'list']
const config = {
  auth: {
    type: 'htpasswd',
    htpasswd_file: file,
    tokens: { realm: 'http://registry.test/token' },
  },
  access: [
    { repositories: ['**'], users: ['root'], actions },
    { repositories: ['team/*'], users: ['alice'], actions },
  ],
  audit: { file: trail },
}
const shared = Buffer.from('a blob that alice may pull')
const hidden = Buffer.from('a blob that she may not')

const isRefusedSource = ({ decision, repository }: AuditLine) =>
  decision === 'refused' && String(repository).startsWith('secret/')

describeRegistry('a mount', { config, engines: ENGINES.slice(0, 1) }, (registry) => {
  const root = basic('root', 'root-secret')
  const alice = basic('alice', 'alice-secret')
  const push = async (repository: string, body: Buffer) => {
    const target = `/v2/${repository}/blobs/uploads/?digest=${sha256(body)}`
    const answer = await registry().client.request('POST', target, { headers: root, body })
    expectStatus(answer, 201, 'pushing a blob')
  }
  const token = async (headers: Record<string, string>, ...repositories: string[]) => {
    const scope = repositories.map((name) => `repository:${name}:pull,push`).join(' ')
    const query = new URLSearchParams({ service: 'registry.test', scope })
    const answer = await registry().client.get(`/token?${query}`, headers)
    return bearer((answer.json as { token: string }).token)
  }
  const mount = (headers: Record<string, string>, body: Buffer, from = '') =>
    registry().client.request(
      'POST',
      `/v2/team/app/blobs/uploads/?mount=${sha256(body)}${from === '' ? '' : `&from=${from}`}`,
      { headers },
    )
  beforeAll(async () => {
    await push('team/source', shared)
    await push('secret/source', hidden)
  })

  test('with a token for the target alone is sent for one for both', async () => {
    const narrow = await token(alice, 'team/app')
    for (const from of ['team/source', '']) {
      const answer = await mount(narrow, shared, from)
      expect(answer.status).toBe(401)
      expect(answer.headers['www-authenticate']).toContain(
        'scope="repository:team/app:pull,push repository:team/source:pull",error="insufficient_scope"',
      )
    }
    const wide = await token(alice, 'team/app', 'team/source')
    expect((await mount(wide, shared, 'team/source')).status).toBe(201)
    expect((await mount(wide, shared)).status).toBe(201)
  })

  test('from where no token would do is a session, as if there were nothing', async () => {
    const narrow = await token(alice, 'team/app')
    for (const from of ['secret/source', 'secret/none', '']) {
      expect((await mount(narrow, hidden, from)).status, from).toBe(202)
      expect((await mount(alice, hidden, from)).status, from).toBe(202)
    }
    // Two callers, two sources: that they are refused is in the trail alone.
    const refused = () => auditLines(trail).filter(isRefusedSource)
    await until(() => refused().length === 4)
    for (const line of refused()) {
      expect(line).toMatchObject({ user: 'alice', action: 'pull', reason: 'not-allowed' })
    }
  })

  test('within the limits of an access token, which no new token widens', async () => {
    const path = join(folder, 'cli.yaml')
    const auth = `auth: { type: htpasswd, htpasswd_file: ${file} }`
    writeFileSync(path, `storage: { path: ${registry().folder} }\n${auth}\n`)
    const limits = ['--repositories', 'team/app', '--actions', 'pull,push', '--expires', '1h']
    const made = await runCli(['token', 'create', '--config', path, '--user', 'alice', ...limits])
    expect(made).toMatchObject({ code: 0, stderr: '' })
    const machine = basic('alice', lastLine(made))
    await until(async () => (await registry().client.get('/v2/', machine)).status === 200)
    const asked = async () => mount(await token(machine, 'team/app'), shared, 'team/source')
    expect((await asked()).status).toBe(202)
    expect((await mount(machine, shared, 'team/source')).status).toBe(202)
  })
})
