/**
 * @module What the registry says of the signatures of an image: every way of attaching them, through the
 * front door.
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { main } from '../../../src/cli/main.ts'
import type { Terminal } from '../../../src/cli/terminal.ts'
import { admin, adminJson } from '../../support/admin.ts'
import { attach, bundleManifest } from '../../support/attach-signatures.ts'
import { image, named, put } from '../../support/attached.ts'
import { describeRegistry } from '../../support/in-process.ts'
import { imageIndex, type RegistryClient, sha256 } from '../../support/registry-client.ts'
import {
  attestation,
  makeSigner,
  messageBundle,
  signedBundle,
  simpleSigning,
  statementAbout,
} from '../../support/signing.ts'

interface Found {
  readonly scheme: string
  readonly manifest: string
  readonly signature: boolean
  readonly signer?: { readonly key?: string }
  readonly result: string
  readonly inherited: boolean
}

interface Report {
  readonly digest: string
  readonly state: string
  readonly by: readonly string[]
  readonly signatures: readonly Found[]
  readonly truncated: boolean
}

const slsa = 'https://slsa.dev/provenance/v1'
const release = makeSigner()
const team = makeSigner('ed25519')
const stranger = makeSigner()
const folder = mkdtempSync(join(tmpdir(), 'signing-'))
const file = join(folder, 'team.pub')
writeFileSync(file, team.pem)
afterAll(() => rmSync(folder, { recursive: true }))

const config = {
  signing: {
    keys: [
      { name: 'release', pem: release.pem },
      { name: 'team', path: file },
    ],
  },
}

const reportOf = (client: RegistryClient, repository: string, reference: string) =>
  adminJson<Report>(
    client,
    'GET',
    `/admin/repositories/${repository}/manifests/${reference}/signatures`,
  )

describeRegistry('fastregistry signatures', { engines: ['uws'], config }, (registry) => {
  async function run(line: string) {
    const out: string[] = []
    const errors: string[] = []
    const terminal = {
      environment: { FASTREGISTRY_SERVER: `http://127.0.0.1:${registry().port}` },
      print: (text: string) => out.push(text),
      printError: (text: string) => errors.push(text),
    } as unknown as Terminal
    const code = await main(`signatures ${line}`.split(' '), terminal)
    return { code, out: out.join('\n'), errors: errors.join('\n') }
  }

  test('prints what was found, and says by its exit code whether it counts', async () => {
    const { client } = registry()
    const app = await image(client, 'team/cli', 'cli', 'v1')
    expect(await run('verify team/cli:v1')).toMatchObject({
      code: 1,
      out: `${app.digest}: unsigned`,
    })
    const layers = [simpleSigning(stranger, app.digest), simpleSigning(release, app.digest)]
    await attach(client, 'team/cli', layers, { tag: `${named(app.digest)}.sig` })
    const { code, out } = await run(`verify team/cli@${app.digest}`)
    expect(code).toBe(0)
    expect(out.split('\n')).toEqual([
      `${app.digest}: verified by release`,
      expect.stringMatching(/^SCHEME +WHAT +SIGNER +RESULT +WHY$/),
      expect.stringMatching(/^cosign-tag +signature +unknown key +none of the keys/),
      expect.stringMatching(/^cosign-tag +signature +release +verified$/),
    ])
    expect((await run('list team/cli:v1')).code).toBe(0)
    const json = JSON.parse((await run('list team/cli:v1 --json')).out) as Report
    expect(json).toMatchObject({ state: 'verified', by: ['release'] })
  })

  test('says what is not there, and what is no image', async () => {
    const { client } = registry()
    await image(client, 'team/cli', 'cli', 'v1')
    expect((await run('verify team/cli:v2')).code).toBe(3)
    expect((await run('list team/cli:v2')).code).toBe(1)
    const misuse = await run('verify team/cli')
    expect(misuse.code).toBe(2)
    expect(misuse.errors).toContain('NAME:TAG or NAME@DIGEST')
  })
})

describeRegistry('signatures of an image', { engines: ['uws'], config }, (registry) => {
  test('are found by tag and by subject, and verified', async () => {
    const { client } = registry()
    const app = await image(client, 'team/app', 'signed', 'v1')
    expect(await reportOf(client, 'team/app', 'v1')).toEqual({
      digest: app.digest,
      state: 'unsigned',
      by: [],
      signatures: [],
      truncated: false,
    })
    const bytes = Buffer.from((await client.get(`/v2/team/app/manifests/${app.digest}`)).text)
    await attach(client, 'team/app', [simpleSigning(stranger, app.digest)], {
      tag: `${named(app.digest)}.sig`,
    })
    expect(await reportOf(client, 'team/app', 'v1')).toMatchObject({ state: 'untrusted', by: [] })
    await attach(client, 'team/app', [attestation(release, app.digest, slsa)], {
      tag: `${named(app.digest)}.att`,
    })
    // An attestation is none of a signature.
    expect(await reportOf(client, 'team/app', 'v1')).toMatchObject({ state: 'untrusted', by: [] })
    const bySubject = { subject: app, artifactType: bundleManifest }
    await attach(client, 'team/app', [signedBundle(team, app.digest)], bySubject)
    await attach(client, 'team/app', [messageBundle(release, bytes)], bySubject)
    const report = await reportOf(client, 'team/app', app.digest)
    expect(report).toMatchObject({ state: 'verified', by: ['release', 'team'], truncated: false })
    const rows = report.signatures.map(
      ({ scheme, signature, result, signer }) =>
        `${scheme} ${signature} ${result} ${signer?.key ?? ''}`,
    )
    expect(rows.sort()).toEqual([
      'bundle true verified release',
      'bundle true verified team',
      'cosign-tag false verified release',
      'cosign-tag true unknown key ',
    ])
  })

  test('count where they lie only, and for what they were made', async () => {
    const { client } = registry()
    const app = await image(client, 'team/one', 'one', 'v1')
    const other = await image(client, 'team/one', 'other', 'v2')
    const tag = `${named(app.digest)}.sig`
    await attach(client, 'team/one', [simpleSigning(release, other.digest)], { tag })
    expect(await reportOf(client, 'team/one', 'v1')).toMatchObject({
      state: 'untrusted',
      signatures: [{ result: 'digest mismatch' }],
    })
    await attach(client, 'team/one', [simpleSigning(release, app.digest)], { tag })
    expect(await reportOf(client, 'team/one', 'v1')).toMatchObject({ state: 'verified' })
    await image(client, 'team/two', 'one', 'v1')
    expect(await reportOf(client, 'team/two', 'v1')).toMatchObject({
      digest: app.digest,
      state: 'unsigned',
    })
    // A signature that is deleted counts no more.
    await client.delete(`/v2/team/one/manifests/${tag}`)
    expect(await reportOf(client, 'team/one', 'v1')).toMatchObject({ state: 'unsigned' })
  })

  test('of an index count for its members, and those of a member not for the index', async () => {
    const { client } = registry()
    const amd64 = await image(client, 'team/multi', 'amd64')
    const arm64 = await image(client, 'team/multi', 'arm64')
    const statement = Buffer.from(statementAbout(amd64.digest, slsa))
    const layer = { mediaType: 'application/vnd.in-toto+json', annotations: {}, bytes: statement }
    const provenance = await attach(client, 'team/multi', [layer], { tag: 'provenance' })
    const annotations = {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': amd64.digest,
    }
    const members = [amd64, arm64, { ...provenance, annotations }]
    const index = await put(client, 'team/multi', imageIndex(members), 'v1')
    await attach(client, 'team/multi', [simpleSigning(team, arm64.digest)], {
      tag: `${named(arm64.digest)}.sig`,
    })
    expect(await reportOf(client, 'team/multi', 'v1')).toMatchObject({
      state: 'unsigned',
      signatures: [{ scheme: 'buildkit', result: 'unsigned', inherited: false }],
    })
    await attach(client, 'team/multi', [signedBundle(release, index.digest)], {
      subject: index,
      artifactType: bundleManifest,
    })
    expect(await reportOf(client, 'team/multi', 'v1')).toMatchObject({ by: ['release'] })
    expect(await reportOf(client, 'team/multi', amd64.digest)).toMatchObject({
      state: 'verified',
      by: ['release'],
      signatures: [
        { scheme: 'buildkit', inherited: false },
        { scheme: 'bundle', inherited: true, result: 'verified' },
      ],
    })
    expect(await reportOf(client, 'team/multi', arm64.digest)).toMatchObject({
      by: ['release', 'team'],
    })
  })

  test('are judged by a key that was replaced while the server runs', async () => {
    const { client } = registry()
    const app = await image(client, 'team/keys', 'keys', 'v1')
    const next = makeSigner()
    await attach(client, 'team/keys', [simpleSigning(next, app.digest)], {
      tag: `${named(app.digest)}.sig`,
    })
    expect(await reportOf(client, 'team/keys', 'v1')).toMatchObject({ state: 'untrusted' })
    const replace = (text: string) => {
      writeFileSync(`${file}.new`, text)
      renameSync(`${file}.new`, file)
    }
    replace(next.pem)
    await vi.waitFor(
      async () => expect(await reportOf(client, 'team/keys', 'v1')).toMatchObject({ by: ['team'] }),
      { timeout: 10_000 },
    )
    // A file that cannot be used proves nothing, until it can.
    replace('nonsense')
    await vi.waitFor(
      async () => expect(await reportOf(client, 'team/keys', 'v1')).toMatchObject({ by: [] }),
      { timeout: 10_000 },
    )
    expect(registry().logLines.join('\n')).toContain('it counts for nothing until it can')
    replace(next.pem)
    await vi.waitFor(
      async () => expect(await reportOf(client, 'team/keys', 'v1')).toMatchObject({ by: ['team'] }),
      { timeout: 10_000 },
    )
    replace(team.pem)
  })

  test('that nobody can look at all of are reported so, and junk does not hide what is signed', async () => {
    const { client } = registry()
    const app = await image(client, 'team/junk', 'junk', 'v1')
    const bySubject = { subject: app, artifactType: bundleManifest }
    for (let at = 0; at < 200; at += 1) {
      const bytes = Buffer.from(JSON.stringify({ junk: at }))
      const layer = { mediaType: bundleManifest, annotations: {}, bytes }
      await attach(client, 'team/junk', [layer], bySubject)
    }
    const report = await reportOf(client, 'team/junk', 'v1')
    expect(report).toMatchObject({ state: 'unsigned', truncated: true })
    expect(report.signatures).toHaveLength(128)
    // Behind what looks like signatures stands everything else.
    const two = await image(client, 'team/junk', 'two', 'v2')
    for (let at = 0; at < 200; at += 1) {
      await image(client, 'team/junk', `junk ${at}`, undefined, { subject: two })
    }
    const signed = { subject: two, artifactType: bundleManifest }
    await attach(client, 'team/junk', [signedBundle(release, two.digest)], signed)
    const found = await reportOf(client, 'team/junk', 'v2')
    expect(found).toMatchObject({ state: 'verified', truncated: true })
    expect(found.signatures[0]).toMatchObject({ scheme: 'bundle', result: 'verified' })
  })

  test('of what is not there are not found', async () => {
    const { client } = registry()
    await image(client, 'team/there', 'there', 'v1')
    for (const path of ['team/there/manifests/v2', 'team/none/manifests/v1']) {
      const answer = await admin(client, 'GET', `/admin/repositories/${path}/signatures`)
      expect(answer.status, path).toBe(404)
    }
    const digest = sha256('nothing')
    const path = `/admin/repositories/team/there/manifests/${digest}/signatures`
    expect((await admin(client, 'GET', path)).status).toBe(404)
  })
})
