/**
 * @module The keys that the registry signs with, beside a running server: rotated by command, brought by the operator;
 * and what comes from upstream, signed as a fact.
 */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { admin } from '../../support/admin.ts'
import { attach } from '../../support/attach-signatures.ts'
import { image, named } from '../../support/attached.ts'
import { runHere } from '../../support/cli.ts'
import { FaultyUpstream } from '../../support/faulty-upstream.ts'
import { dispose, startInProcess, until } from '../../support/in-process.ts'
import { publishedKeys, waitForStatements } from '../../support/own-statements.ts'
import { imageManifest, sha256 } from '../../support/registry-client.ts'
import { makeSigner, simpleSigning } from '../../support/signing.ts'

const attest = { enabled: true, host: 'registry.example.com', facts: ['push', 'mirror'] }

const pkcs8 = () =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString()

test('a key is made, shown, announced, replaced and forgotten by command', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fastregistry-keys-'))
  const file = join(folder, 'config.yaml')
  const store = join(folder, 'store')
  await writeFile(file, stringify({ storage: { path: store }, signing: { attest } }))
  const run = (words: string) => runHere(`signatures key ${words} --config ${file}`)
  try {
    expect(await run('show')).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/no key yet/),
    })
    const { out: first } = await run('create')
    expect(first).toMatch(/^-----BEGIN PUBLIC KEY-----\n[^-]+-----END PUBLIC KEY-----$/)
    expect((await stat(join(store, 'auth/signing.json'))).mode & 0o777).toBe(0o600)
    expect(await run('create')).toMatchObject({ code: 1, errors: expect.stringMatching(/already/) })
    expect((await run('show')).out).toBe(first)
    expect((await run('rotate --after soon')).code).toBe(2)
    expect((await run('rotate')).out).toMatch(/^key [0-9a-f]{64} signs from/)
    const states = async () =>
      (await run('show --json')).out
        .split('\n')
        .map((line) => JSON.parse(line) as { state: string; fingerprint: string; pem: string })
    expect((await states()).map(({ state }) => state)).toEqual(['signs', 'announced'])

    const registry = await startInProcess({
      engine: 'node',
      folder: store,
      config: { signing: { attest } },
    })
    try {
      expect((await publishedKeys(registry.client))[0]!.trim()).toBe(first)
      await run('rotate --after 0s')
      const [current, old] = await states()
      expect(old!.pem).toBe(first)
      await until(async () => (await publishedKeys(registry.client))[0]!.trim() === current!.pem)
      const { digest } = await image(registry.client, 'team/app', 'rotated', 'v1')
      await waitForStatements(registry.client, 'team/app', digest, 1)
      expect((await run(`forget ${current!.fingerprint}`)).code).toBe(1)
      expect((await run(`forget ${old!.fingerprint.slice(0, 16)}`)).code).toBe(0)
      await until(async () => (await publishedKeys(registry.client)).length === 1)
      // Still verified by what is published.
      await waitForStatements(registry.client, 'team/app', digest, 1)
      const text = registry.logLines.join('\n')
      expect(text).not.toContain('PRIVATE KEY')
    } finally {
      await registry.stop()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('a key of the operator signs, is read again, and its predecessor stays published', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fastregistry-keys-'))
  const key = join(folder, 'key.pem')
  await writeFile(key, pkcs8())
  const config = { signing: { attest: { ...attest, key } } }
  const registry = await startInProcess({ engine: 'node', config })
  try {
    const { client } = registry
    await until(async () => (await publishedKeys(client)).length === 1)
    const [first] = await publishedKeys(client)
    const file = join(folder, 'config.yaml')
    await writeFile(file, stringify({ ...config, storage: { path: join(folder, 'store') } }))
    const shown = await runHere(`signatures key show --config ${file}`)
    expect(`${shown.out}\n`).toBe(first)
    expect((await runHere(`signatures key rotate --config ${file}`)).errors).toContain(key)
    const { digest } = await image(client, 'team/app', 'own', 'v1')
    await waitForStatements(client, 'team/app', digest, 1)
    await writeFile(`${key}.next`, pkcs8())
    await rename(`${key}.next`, key)
    await until(async () => (await publishedKeys(client)).length === 2)
    const [second, old] = await publishedKeys(client)
    expect(old).toBe(first)
    expect(second).not.toBe(first)
    const kept = await readFile(join(registry.folder, 'auth/signing.json'), 'utf8')
    expect(kept).not.toContain('PRIVATE')
    // One that cannot be used changes nothing.
    await writeFile(key, 'nonsense')
    await until(() => registry.logLines.some((line) => line.includes('not read again')))
    await waitForStatements(client, 'team/app', digest, 1)
    const again = await image(client, 'team/app', 'again', 'v2')
    await waitForStatements(client, 'team/app', again.digest, 1)
  } finally {
    await dispose(registry)
    await rm(folder, { recursive: true, force: true })
  }
})

test('its own statements count where a policy names its key', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fastregistry-keys-'))
  const key = join(folder, 'key.pem')
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await writeFile(key, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const release = makeSigner()
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const config = {
    signing: {
      keys: [
        { name: 'release', pem: release.pem },
        { name: 'registry', pem },
      ],
      policies: [
        {
          name: 'staging',
          repositories: ['staging/**'],
          require: [{ signature: { by: [{ key: 'release' }] } }],
        },
        {
          name: 'prod',
          repositories: ['prod/**'],
          mode: 'enforce',
          require: [
            {
              attestation: {
                type: 'vsa',
                by: [{ key: 'registry' }],
                where: [{ path: '/predicate/policy/uri', matches: '**/staging' }],
              },
            },
          ],
        },
      ],
      attest: { ...attest, facts: [], key },
    },
  }
  const registry = await startInProcess({ engine: 'node', config })
  try {
    const { client } = registry
    const promote = (digest: string) => {
      const from = { repository: 'staging/app', reference: digest }
      return admin(client, 'POST', '/admin/copy', {
        from,
        to: { repository: 'prod/app', tag: 'v1' },
      })
    }
    const { digest } = await image(client, 'staging/app', 'named', 'v1')
    expect((await promote(digest)).status).toBe(403)
    await attach(client, 'staging/app', [simpleSigning(release, digest)], {
      tag: `${named(digest)}.sig`,
    })
    await image(client, 'staging/app', 'named', 'v1')
    await waitForStatements(client, 'staging/app', digest, 1)
    expect((await promote(digest)).status).toBe(200)
    // The target says of itself what it has verified.
    const all = await waitForStatements(client, 'prod/app', digest, 2)
    const places = all.map(({ predicate }) => predicate['resourceUri'])
    expect(new Set(places)).toEqual(
      new Set(['staging/app', 'prod/app'].map((name) => `registry.example.com/${name}@${digest}`)),
    )
  } finally {
    await dispose(registry)
    await rm(folder, { recursive: true, force: true })
  }
})

test('a registry that cannot read its key does not start', async () => {
  const config = { signing: { attest: { ...attest, key: '/none/key.pem' } } }
  await expect(startInProcess({ engine: 'node', config })).rejects.toThrow(
    /signing.attest.key \/none\/key.pem cannot be used/,
  )
})

test('a manifest that a mirror fetches is signed with where it came from', async () => {
  const upstream = new FaultyUpstream()
  await upstream.start()
  const layer = Buffer.from('a layer')
  const descriptor = { mediaType: 'application/x', digest: sha256(layer), size: layer.length }
  upstream.addBlob('library/nginx', layer)
  const body = JSON.stringify(imageManifest(descriptor, [descriptor]))
  const digest = upstream.addManifest('library/nginx', 'v1', body)
  upstream.addReferrers('library/nginx', digest, [])
  const mirrors = [{ name: 'hub', upstream: upstream.url }]
  const registry = await startInProcess({
    engine: 'node',
    config: { signing: { attest } },
    mirrors,
  })
  try {
    const { client } = registry
    expect((await client.get('/v2/hub/library/nginx/manifests/v1')).status).toBe(200)
    const [fact, ...more] = await waitForStatements(client, 'hub/library/nginx', digest, 1)
    expect(more).toEqual([])
    const { host } = new URL(upstream.url)
    expect(fact).toMatchObject({
      predicateType: 'https://fastregistry.org/attestations/mirror/v1',
      predicate: {
        repository: 'registry.example.com/hub/library/nginx',
        tags: ['v1'],
        by: 'mirror hub',
        upstream: { uri: `${host}/library/nginx@${digest}` },
      },
    })
  } finally {
    await dispose(registry)
    await upstream.stop()
  }
})
