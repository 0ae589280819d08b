/**
 * @module The conformance suite against a registry that asks who is there: by password, by token, and
 * by token over TLS with an authority of our own (the suite is a Go program, so `SSL_CERT_FILE` names
 * it). On one engine: what the engines do differently is below all of this.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { htpasswd } from '../support/access.ts'
import { Authority } from '../support/certificates.ts'
import { CLEAN, conformance, PASSES_MIN } from './suite.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-conformance-access-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const users = join(folder, 'htpasswd')
writeFileSync(users, htpasswd({ suite: 'suite-secret' }))
const authority = new Authority(folder)
const credentials = { OCI_USERNAME: 'suite', OCI_PASSWORD: 'suite-secret' }

/** With this rule alone, and a password that is wrong, nothing would pass. */
const access = [
  {
    repositories: ['conformance/*'],
    users: ['suite'],
    actions: ['pull', 'push', 'delete', 'list'],
  },
]

function settings(challenge: 'basic' | 'bearer', server: object = {}) {
  return { auth: { type: 'htpasswd', htpasswd_file: users, tokens: { challenge } }, access, server }
}

describe('every case of the newest profile passes', () => {
  const modes = [
    { name: 'with a password', config: settings('basic'), env: {} },
    { name: 'with tokens', config: settings('bearer'), env: {} },
    {
      name: 'with tokens over TLS',
      config: settings('bearer', { tls: authority.issue('server', 'IP:127.0.0.1') }),
      env: { OCI_TLS: 'enabled', SSL_CERT_FILE: authority.cert },
    },
  ]

  test.for(modes)('$name', async ({ config, env }, context) => {
    const outcome = await conformance(context, { config }, { ...credentials, ...env })
    expect(outcome).toMatchObject(CLEAN)
    expect(outcome.passed).toBeGreaterThanOrEqual(PASSES_MIN)
  })
})
