/**
 * @module Keys, roots and stores while their files change: what cannot be read counts for nothing until it can.
 */
import { mkdirSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { pemOf, Sigstore } from '../../../bench/sigstore/keyless.ts'
import { TrustFiles, type TrustParts } from '../../../src/signing/trust.ts'
import { certificate } from '../../support/signed/certificate.ts'
import { makeSigner } from '../../support/signing.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-trust-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const path = (name: string) => join(folder, name)
const authority = certificate({ subject: 'O=acme', isAuthority: true })
let rootJson = ''
beforeAll(async () => {
  rootJson = JSON.stringify((await Sigstore.open()).root())
})

const opened: TrustFiles[] = []
afterEach(() => {
  for (const one of opened.splice(0)) one.stop()
})

function files(isNeeded: boolean, now = Date.now()) {
  const problems: string[] = []
  const changes: number[] = []
  const config: TrustParts['config'] = {
    keys: [
      { name: 'release', source: { kind: 'file', path: path('key') }, untilMs: undefined },
      { name: 'inline', source: { kind: 'pem', pem: makeSigner().pem }, untilMs: 5 },
    ],
    roots: [{ name: 'own', path: path('root') }],
    stores: [{ name: 'acme', type: 'ca', path: path('store') }],
    signers: [],
    revoked: { keys: ['release'], certificates: [], digests: [] },
  }
  const trust = new TrustFiles({
    config,
    isNeeded: () => isNeeded,
    onProblem: ({ kind, name }) => problems.push(`${kind} ${name}`),
    onChange: () => changes.push(changes.length),
    now: () => now,
  })
  opened.push(trust)
  return { trust, problems, changes }
}

const names = ({ now: { keys, roots, stores } }: TrustFiles) =>
  [...keys, ...roots, ...stores].map(({ name }) => name)

function writeAll(): void {
  writeFileSync(path('key'), makeSigner().pem)
  writeFileSync(path('root'), rootJson)
  mkdirSync(path('store'), { recursive: true })
  writeFileSync(path('store/acme.pem'), pemOf(authority.der))
}

test('what is there is read, and what is needed and missing refuses the start', async () => {
  rmSync(path('store'), { recursive: true, force: true })
  for (const missing of ['key', 'root', 'store']) {
    writeAll()
    rmSync(path(missing), { recursive: true })
    await expect(files(true).trust.start()).rejects.toThrow('ENOENT')
  }
  writeAll()
  writeFileSync(path('root'), '{}')
  await expect(files(true).trust.start()).rejects.toThrow('expected a trusted root')
  writeAll()
  const { trust } = files(true)
  await trust.start()
  expect(names(trust)).toEqual(['inline', 'release', 'own', 'acme'])
  expect(trust.now).toMatchObject({ revoked: { keys: ['release'], certificates: [] } })
  expect(trust.now.keys[0]).toMatchObject({ untilMs: 5 })
  expect(trust.broken).toEqual([])
})

test('what is not needed may come later, go, and come again', async () => {
  writeAll()
  for (const gone of ['key', 'root']) unlinkSync(path(gone))
  rmSync(path('store'), { recursive: true })
  const { trust, problems, changes } = files(false)
  await trust.start()
  expect(changes).toEqual([])
  expect(names(trust)).toEqual(['inline'])
  expect(trust.broken).toHaveLength(3)
  expect(new Set(problems)).toEqual(new Set(['key release', 'root own', 'store acme']))
  const before = trust.now.version
  writeAll()
  await vi.waitFor(() => expect(names(trust)).toHaveLength(4), {
    timeout: 10_000,
  })
  expect(trust.broken).toEqual([])
  expect(trust.now.version).toBeGreaterThan(before)
  expect(changes).toHaveLength(3)
  writeFileSync(path('store/other.pem'), 'nonsense')
  writeFileSync(path('key'), 'nonsense')
  unlinkSync(path('root'))
  await vi.waitFor(() => expect(trust.broken).toHaveLength(3), { timeout: 10_000 })
  expect(changes).toHaveLength(6)
  expect(names(trust)).toEqual(['inline'])
  unlinkSync(path('store/other.pem'))
  writeAll()
  await vi.waitFor(() => expect(trust.broken).toEqual([]), { timeout: 10_000 })
}, 40_000)

test('the age of a root is that of its file, or of its newest key', async () => {
  writeAll()
  const day = 86_400_000
  const later = files(true, Date.now() + 10 * day)
  await later.trust.start()
  const seconds = later.trust.rootAges.get('own')!
  expect(seconds).toBeGreaterThan(9.9 * 86_400)
  expect(seconds).toBeLessThanOrEqual(10 * 86_400)
})
