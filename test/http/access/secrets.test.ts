/**
 * @module No secret comes out: passwords, tokens and keys are sent in every place where a client may
 * put them, and then looked for in the logs, the audit trail, the answers, the metrics and the
 * process's title, in each form that they travel in.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { secretFilePaths } from '../../../src/auth/secret-file.ts'
import { basic, bearer, htpasswd } from '../../support/access.ts'
import { lastLine, runCli } from '../../support/cli.ts'
import { RegistryClient } from '../../support/registry-client.ts'
import { startRegistry } from '../../support/start-registry.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-secrets-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const users = join(folder, 'htpasswd')
const audit = join(folder, 'audit.log')
const password = 'correct-horse-battery'
const wrong = 'incorrect-horse-battery'

test('no password, token or key is in a log, an answer, a metric or the title', async () => {
  writeFileSync(users, htpasswd({ alice: password }))
  const auth = { type: 'htpasswd', htpasswd_file: users, tokens: { challenge: 'bearer' } }
  const access = [
    { repositories: ['team/*'], users: ['alice'], actions: ['pull', 'push', 'list'] },
    { repositories: ['/metrics'], anonymous: true, actions: ['pull'] },
  ]
  const log = { level: 'debug', access: true }
  const registry = await startRegistry({ config: { auth, access, log, audit: { file: audit } } })
  const client = new RegistryClient(registry.port)
  const said: string[] = []
  try {
    const config = join(folder, 'cli.yaml')
    const lines = [`storage: { path: ${registry.storage} }`, `auth: ${JSON.stringify(auth)}`]
    writeFileSync(config, `${lines.join('\n')}\n`)
    const limits = ['--repositories', 'team/*', '--actions', 'pull', '--expires', '1h']
    const create = ['token', 'create', '--config', config, '--user', 'alice', ...limits]
    const machine = lastLine(await runCli(create))
    expect(machine).toMatch(/^frt_/)
    const alice = basic('alice', password)
    const scope = 'scope=repository:team/app:pull'
    const issued = (await client.get(`/token?${scope}&offline_token=true`, alice)).json as {
      token: string
      refresh_token: string
    }
    const ask = async (method: string, path: string, headers = {}, body?: string) => {
      const answer = await client.request(method, path, {
        headers,
        ...(body === undefined ? {} : { body }),
      })
      // A token endpoint that says yes is the one place where a token belongs.
      const isIssued = path.startsWith('/token') && answer.status === 200
      said.push(JSON.stringify(answer.headers), isIssued ? '' : answer.text)
      return answer.status
    }
    const shown = [
      alice,
      basic('alice', wrong),
      basic(wrong, 'x'),
      basic('alice', machine),
      basic('alice', `${machine}x`),
      bearer(issued.token),
      bearer(`${issued.token.slice(0, -4)}AAAA`),
      bearer(issued.refresh_token),
      { authorization: `Digest ${wrong}` },
      { authorization: wrong },
      { authorization: `Basic ${wrong}` },
    ]
    for (const headers of shown) {
      for (const path of [
        '/v2/',
        '/v2/team/app/manifests/1',
        '/v2/other/a/tags/list',
        '/v2/_catalog',
      ]) {
        await ask('GET', path, headers)
      }
      await ask('POST', '/v2/team/app/blobs/uploads/', headers)
      await ask('GET', '/admin/status', headers)
      await ask('GET', `/token?${scope}`, headers)
    }
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
    for (const secret of [password, wrong, machine]) {
      const fields = new URLSearchParams({
        grant_type: 'password',
        username: 'alice',
        password: secret,
      })
      await ask('POST', '/token', form, fields.toString())
      await ask('POST', '/token', form, `grant_type=refresh_token&refresh_token=${secret}`)
      await ask('POST', '/token', form, `grant_type=${secret}`)
      // Where no client should put it, but some do.
      await ask('GET', `/token?account=alice&password=${secret}`)
      await ask('GET', `/v2/?access_token=${secret}`)
    }
    await ask(
      'POST',
      '/token',
      form,
      `grant_type=refresh_token&refresh_token=${issued.refresh_token}`,
    )
    expect(await ask('GET', '/metrics')).toBe(200)
    const keys = readFileSync(secretFilePaths(registry.storage).keys, 'utf8')
    const { secret, keys: signing } = JSON.parse(keys) as {
      secret: string
      keys: { jwk: { d: string } }[]
    }
    const title = [
      readFileSync(`/proc/${registry.pid}/cmdline`, 'utf8'),
      readFileSync(`/proc/${registry.pid}/comm`, 'utf8'),
    ]
    expect(await registry.terminate()).toBe(0)
    const places = {
      logs: registry.logs().join('\n'),
      audit: readFileSync(audit, 'utf8'),
      answers: said.join('\n'),
      title: title.join('\n'),
    }
    expect(places.audit).toContain('"user":"alice"')
    expect(places.logs).toContain('/v2/team/app/manifests/1')
    const hash = readFileSync(users, 'utf8').trim().slice('alice:'.length)
    const secrets = [
      password,
      wrong,
      ...shown.map(({ authorization }) => authorization!.replace(/^(?:Basic|Bearer) /, '')),
      machine.split('_').slice(2).join('_'),
      issued.token.split('.')[2]!,
      issued.refresh_token.split('.')[2]!,
      hash,
      secret,
      signing[0]!.jwk.d,
    ]
    for (const [place, text] of Object.entries(places)) {
      for (const one of secrets) {
        for (const form of [one, encodeURIComponent(one), Buffer.from(one).toString('base64')]) {
          expect(text.includes(form), `${form} in ${place}`).toBe(false)
        }
      }
    }
  } finally {
    client.close()
    await registry.stop()
  }
})
