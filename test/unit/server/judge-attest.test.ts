/** @module What a start would refuse of what the registry signs with, found with its line before it. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { judgeConfig } from '../../../src/server/judge/judge.ts'
import { makeSigner } from '../../support/signing.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-judge-attest-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const pkcs8 = (curve: string) =>
  generateKeyPairSync('ec', { namedCurve: curve })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString()

function file(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

/** The refusal, or the warnings. */
async function judge(signing: object, more: object = {}): Promise<string> {
  const storage = { path: join(folder, 'store') }
  const path = file('config.yaml', stringify({ signing, storage, ...more }))
  return judgeConfig({ file: path }).then(
    ({ warnings }) => warnings.join('\n'),
    (error: Error) => error.message,
  )
}

const host = 'registry.example.com'
const policy = {
  name: 'prod',
  repositories: ['prod/**'],
  require: [{ signature: { by: [{ key: 'release' }] } }],
}
const keys = [{ name: 'release', pem: makeSigner().pem }]

test('what needs the registry to sign is refused where it does not', async () => {
  const countersigned = [{ ...policy, countersign: true }]
  expect(await judge({ keys, policies: countersigned })).toContain(
    'signing.policies: [0].countersign: signing.attest.enabled is false',
  )
  const facts = await judge({ attest: { facts: ['push'] } })
  expect(facts).toContain('signing.attest.facts: signing.attest.enabled is false')
  expect(await judge({ attest: { key: 'k.pem' } })).toContain(
    'signing.attest.key: signing.attest.enabled is false',
  )
  const attest = { enabled: true, host, facts: ['push', 'promotion', 'mirror'] }
  expect(await judge({ keys, policies: countersigned, attest })).toBe('')
})

test('a key that cannot be used is refused, and a file of its own that is damaged', async () => {
  const withKey = (key: string) => judge({ attest: { enabled: true, host, key } })
  expect(await withKey('/none')).toContain(
    'signing.attest.key: /none cannot be used: it cannot be read (ENOENT)',
  )
  expect(await withKey(file('rsa', 'nonsense'))).toContain('expected a private key as PKCS#8')
  expect(await withKey(file('p384', pkcs8('P-384')))).toContain('expected an EC key on the curve')
  expect(await withKey(file('p256', pkcs8('P-256')))).toBe('')
  mkdirSync(join(folder, 'store/auth'), { recursive: true })
  const own = file('store/auth/signing.json', '{"keys": [')
  expect(await judge({ attest: { enabled: true, host } })).toContain(
    `${own} cannot be used: it is not JSON`,
  )
  rmSync(own)
})

test('a name that clients do not say is a warning', async () => {
  const attest = { enabled: true }
  expect(await judge({ attest })).toContain(
    'warning: signing.attest.host: what the registry signs names it localhost:5000',
  )
  const realm = `https://${host}/token`
  expect(await judge({ attest }, { auth: { tokens: { realm } } })).toBe('')
  expect(await judge({ attest }, { server: { hosts: [host] } })).toBe('')
  expect(await judge({ attest: { enabled: true, host: 'https://a' } })).toContain('expected a host')
})
