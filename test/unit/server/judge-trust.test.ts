/**
 * @module What a start would refuse, or only mentions, of signers, trusted roots, trust stores and what is revoked.
 */
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { githubIssuer, type Json, pemOf, Sigstore } from '../../../bench/sigstore/keyless.ts'
import { ConfigError } from '../../../src/config/explain.ts'
import { judgeConfig } from '../../../src/server/judge/judge.ts'
import { certificate } from '../../support/signed/certificate.ts'
import { makeSigner } from '../../support/signing.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-judge-trust-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let count = 0
function file(content: string): string {
  count += 1
  const path = join(folder, `file-${count}`)
  writeFileSync(path, content)
  return path
}

function store(...files: readonly (string | Buffer)[]): string {
  count += 1
  const path = join(folder, `store-${count}`)
  mkdirSync(path)
  for (const [index, content] of files.entries()) writeFileSync(join(path, `${index}.pem`), content)
  return path
}

const day = 86_400_000
const key = { name: 'release', pem: makeSigner().pem }
const authority = certificate({ subject: 'O=acme', isAuthority: true })
const acmeStore = { name: 'acme', type: 'ca', path: store(pemOf(authority.der)) }
const identity = {
  issuer: githubIssuer,
  subject: 'https://github.com/acme/*/.github/workflows/release.yml@refs/tags/*',
}

let rootJson: Json
let root: { name: string; path: string }
beforeAll(async () => {
  rootJson = (await Sigstore.open()).root()
  root = { name: 'own', path: file(JSON.stringify(rootJson)) }
})

const policyBy = (by: readonly unknown[], mode = 'enforce', fields: object = {}) => ({
  name: 'prod',
  repositories: ['prod/**'],
  mode,
  require: [{ signature: { by, ...fields } }],
})

/** The lines of the refusal, or of the warnings; without the name of the file. */
async function judge(signing: object): Promise<readonly string[]> {
  const storage = { path: join(folder, 'store') }
  const path = file(stringify({ signing: { keys: [key], ...signing }, storage }))
  const lines = await judgeConfig({ file: path }).then(
    ({ warnings }) => warnings,
    (error: unknown) => {
      expect(error).toBeInstanceOf(ConfigError)
      return (error as ConfigError).message.split('\n')
    },
  )
  return lines.map((line) => line.replace(`${path}:`, ''))
}

describe('signers', () => {
  test('of every kind are taken, in rules and by their names', async () => {
    const signers = {
      'acme-ci': { identity: { ...identity, root: 'own', runner_environment: 'github-hosted' } },
      'acme-notation': { store: 'acme', subject: 'C=US, O=acme\\, Inc' },
      release: { key: 'release', log: 'required' },
    }
    const by = [
      'acme-ci',
      'acme-notation',
      'release',
      { identity },
      { store: 'acme', subject: '*' },
    ]
    const policies = [policyBy(by, 'enforce', { at_least: 5, any_attestation: true })]
    expect(await judge({ roots: [root], stores: [acmeStore], signers, policies })).toEqual([])
  })

  test.each<[unknown, string]>([
    [{}, 'expected exactly one of key, identity, store'],
    [
      { key: 'release', store: 'acme', subject: '*' },
      'expected exactly one of key, identity, store',
    ],
    [{ key: 'other' }, 'there is no key "other" in signing.keys'],
    [{ key: 'release', subject: '*' }, 'subject is for a store alone'],
    [{ store: 'acme' }, '"subject" is missing: attributes'],
    [{ store: 'acme', subject: '' }, 'expected text that is not empty'],
    [{ store: 'acme', subject: 'acme' }, 'expected attributes such as'],
    [{ store: 'acme', subject: 'O=acme, O=other' }, 'expected attributes such as'],
    [{ store: 'acme', subject: 'X=acme' }, 'expected attributes such as'],
    [{ store: 'acme', subject: '*', log: 'required' }, 'log is for a key alone'],
    [{ store: 'other', subject: '*' }, 'there is no store "other" in signing.stores'],
    [{ store: 'times', subject: '*' }, 'has authorities of timestamps'],
    [{ identity: { subject: 'x' } }, '"issuer" is missing'],
    [{ identity: { issuer: 'x' } }, '"subject" is missing'],
    [{ identity: { ...identity, subject: '**' } }, 'this one fits any signer'],
    [{ identity: { ...identity, subject: '*' } }, 'this one fits any signer'],
    [{ identity: { ...identity, subject: 'https://**' } }, 'this one fits any signer'],
    [{ identity: { ...identity, subject: '*@*' } }, 'this one fits any signer'],
    [{ identity: { ...identity, issuer: '**' } }, 'this one fits any signer'],
    [{ identity: { ...identity, issuer: 'https://*/**' } }, 'this one fits any signer'],
    [{ identity: { ...identity, subject: '[' } }, 'expected a glob'],
    [{ identity: { ...identity, root: 'other' } }, 'there is no root "other" in signing.roots'],
    [{ identity: { ...identity, runner: 'x' } }, 'unknown key "runner"'],
    ['nobody', 'there is no signer "nobody" in signing.signers'],
  ])('%j is refused', async (by, message) => {
    const stores = [acmeStore, { ...acmeStore, name: 'times', type: 'tsa' }]
    const lines = await judge({ roots: [root], stores, policies: [policyBy([by])] })
    expect(lines.join('\n')).toContain(message)
    expect(lines.join('\n')).not.toContain('warning')
  })

  test('need a root by name where there are several, and one at all', async () => {
    const policies = [policyBy([{ identity }])]
    const more = await judge({ roots: [root, { ...root, name: 'second' }], policies })
    expect(more.join('\n')).toContain('root is missing: name one of signing.roots')
    expect((await judge({ policies })).join('\n')).toContain('root is missing')
  })

  test('have names that are no other key', async () => {
    const signers = { release: { identity: { ...identity, root: 'own' } } }
    const lines = await judge({ roots: [root], signers })
    expect(lines.join('\n')).toContain('release: it is the name of a key too')
    const unknown = await judge({ signers: { x: { key: 'none' } } })
    expect(unknown.join('\n')).toContain('signing.signers: x: there is no key "none"')
  })

  test('of one entry are one, whatever at_least asks for', async () => {
    const by = [{ key: 'release' }, { key: 'release' }]
    const lines = await judge({ policies: [policyBy(by, 'enforce', { at_least: 2 })] })
    expect(lines.join('\n')).toContain('expected at most as many as there are signers in by')
  })
})

test('an attestation is of a signer, or need not be signed', async () => {
  const by = [{ key: 'release' }]
  const rule = (fields: object) => ({
    ...policyBy(by),
    require: [{ attestation: { type: 'spdx', ...fields } }],
  })
  expect(await judge({ policies: [rule({ by, max_age: '90d' })] })).toEqual([])
  expect(await judge({ policies: [rule({ signed: false })] })).toEqual([])
  const without = await judge({ policies: [rule({})] })
  expect(without.join('\n')).toContain('"by" is missing')
  const both = await judge({ policies: [rule({ by, signed: false })] })
  expect(both.join('\n')).toContain('by is for what is signed')
})

test('what is revoked is named rightly', async () => {
  const print = 'AB:'.repeat(31).concat('AB')
  const good = {
    keys: ['release', print],
    certificates: [print],
    digests: [`sha256:${'0'.repeat(64)}`],
  }
  expect(await judge({ revoked: good })).toEqual([])
  const bad = { keys: ['other'], certificates: ['release'], digests: ['x'] }
  const lines = (await judge({ revoked: bad })).join('\n')
  expect(lines).toContain('revoked.certificates[0]: expected a SHA-256')
  expect(lines).toContain('revoked.digests[0]: expected a digest')
  const unknown = await judge({ revoked: { keys: ['other'] } })
  expect(unknown.join('\n')).toContain('there is no key "other" in signing.keys')
})

test('a key that has ended is mentioned', async () => {
  const until = new Date(Date.now() - day).toISOString()
  const lines = await judge({ keys: [{ ...key, until }] })
  expect(lines).toEqual([
    expect.stringContaining(
      `warning: signing.keys[0].until: "release" has ended on ${until.slice(0, 10)}`,
    ),
  ])
  expect(await judge({ keys: [{ ...key, until: '2999-01-01T00:00:00Z' }] })).toEqual([])
  const wrong = await judge({ keys: [{ ...key, until: 'tomorrow' }] })
  expect(wrong.join('\n')).toContain('expected a time such as')
})

describe('what cannot be read', () => {
  const gone = '/none/of/it'
  const broken = {
    keys: [key, { name: 'gone', path: gone }],
    roots: [{ name: 'own', path: gone }],
    stores: [{ ...acmeStore, path: gone }],
  }
  const by = [{ key: 'gone' }, { identity }, { store: 'acme', subject: '*' }]

  test('is refused where a policy is enforced, or where none needs it', async () => {
    for (const policies of [[policyBy(by)], []]) {
      const lines = (await judge({ ...broken, policies })).join('\n')
      expect(lines).not.toContain('warning')
      expect(lines).toContain(`signing.keys[1].path: ${gone} cannot be read (ENOENT)`)
      expect(lines).toContain(`signing.roots[0].path: ${gone} cannot be read (ENOENT)`)
      expect(lines).toContain(`signing.stores[0].path: ${gone} cannot be read (ENOENT)`)
    }
  })

  test('is a warning where policies only watch', async () => {
    const lines = await judge({ ...broken, policies: [policyBy(by, 'audit')] })
    expect(lines).toHaveLength(3)
    for (const line of lines) expect(line).toContain('warning: signing.')
  })
})

describe('a root', () => {
  const by = [{ identity }]

  test.each<[string, (json: Json) => unknown, string]>([
    ['is none', () => 'nonsense', 'the file is not JSON'],
    ['is another file', () => ({}), 'expected a trusted root of sigstore'],
    ['cannot be read', (json) => ({ ...json, ctlogs: [{}] }), 'the trusted root cannot be read'],
    [
      'has nothing',
      ({ mediaType }) => ({ mediaType, tlogs: [], certificateAuthorities: [] }),
      'neither authorities nor logs',
    ],
  ])('that %s is refused', async (_, change, message) => {
    const content = change(rootJson)
    const path = file(typeof content === 'string' ? content : JSON.stringify(content))
    const lines = await judge({ roots: [{ name: 'own', path }], policies: [policyBy(by)] })
    expect(lines.join('\n')).toContain(message)
    expect(lines.join('\n')).not.toContain('warning')
  })

  test('that is old, has ended or that nothing names is mentioned', async () => {
    expect((await judge({ roots: [root] })).join('\n')).toContain('no signer names the root "own"')
    const old = structuredClone(rootJson)
    const validFor = { start: '2020-01-01T00:00:00Z' }
    for (const log of [...old.tlogs, ...old.ctlogs]) log.publicKey.validFor = validFor
    for (const one of [...old.certificateAuthorities, ...old.timestampAuthorities]) {
      one.validFor = { ...validFor, end: '2021-01-01T00:00:00Z' }
    }
    const path = file(JSON.stringify(old))
    const signing = { roots: [{ name: 'own', path }], policies: [policyBy(by)] }
    const fresh = await judge(signing)
    expect(fresh).toEqual([expect.stringContaining('the last of its authorities has ended')])
    const then = new Date(Date.now() - 200 * day)
    utimesSync(path, then, then)
    expect((await judge(signing)).join('\n')).toContain('is 200 days old')
  })
})

describe('a store', () => {
  const by = [{ store: 'acme', subject: 'O=acme' }]
  const judgeStore = async (path: string) =>
    (await judge({ stores: [{ ...acmeStore, path }], policies: [policyBy(by)] })).join('\n')

  test('has certificates in PEM or DER', async () => {
    const other = certificate({ subject: 'O=other', isAuthority: true })
    expect(await judgeStore(store(pemOf(authority.der) + pemOf(other.der), other.der))).toBe('')
  })

  test('without any, or with something else, is refused', async () => {
    expect(await judgeStore(store())).toContain('has no certificate')
    expect(await judgeStore(store('nonsense'))).toContain('cannot be read')
    const privateKey = makePrivate()
    expect(await judgeStore(store(privateKey))).toContain('this is a private key')
  })

  test('that has expired, or that nothing names, is mentioned', async () => {
    const past = { notBefore: Date.now() - 3 * day, notAfter: Date.now() - day }
    const old = certificate({ subject: 'O=acme', isAuthority: true, ...past })
    expect(await judgeStore(store(old.der))).toContain('all of its certificates have expired')
    const lines = await judge({ stores: [acmeStore] })
    expect(lines.join('\n')).toContain('no signer names the store "acme"')
  })
})

function makePrivate(): string {
  return authority.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}
