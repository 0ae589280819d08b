/**
 * @module A policy before the tags that a sync brings: by the signatures that come along, and those that come late.
 */
import { afterEach, expect, test } from 'vitest'
import { adminJson } from '../../support/admin.ts'
import { attach, bundleManifest } from '../../support/attach-signatures.ts'
import { image, named } from '../../support/attached.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { makeSigner, signedBundle, simpleSigning } from '../../support/signing.ts'

const release = makeSigner()
const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

async function start(
  from?: InProcessRegistry,
  mode = 'enforce',
  type = 'registry',
): Promise<InProcessRegistry> {
  const source = from && {
    name: 'above',
    type,
    url: `http://127.0.0.1:${from.port}`,
    repositories: ['team/app'],
    mode: 'manual',
  }
  const policy = {
    name: 'copies',
    repositories: ['team/**'],
    mode,
    require: [{ signature: { by: [{ key: 'release' }] } }],
  }
  const keys = [{ name: 'release', pem: release.pem }]
  const config =
    source === undefined
      ? {}
      : { sync: { sources: [source] }, signing: { keys, policies: [policy] } }
  const registry = await startInProcess({ engine: 'node', config })
  open.push(() => dispose(registry))
  return registry
}

async function run({ syncs }: InProcessRegistry, isForced = true) {
  const started = await syncs.trigger('above', { by: 'test', isForced })
  if (started.kind !== 'started') throw new Error(started.kind)
  await started.ended
  return syncs.status('above')!
}

async function digestOf({ client }: InProcessRegistry, reference: string) {
  const answer = await client.head(`/v2/team/app/manifests/${reference}`)
  return answer.status === 200 ? String(answer.headers['docker-content-digest']) : undefined
}

const sign = ({ client }: InProcessRegistry, digest: string) =>
  attach(client, 'team/app', [simpleSigning(release, digest)], { tag: `${named(digest)}.sig` })

test('a tag comes with its signature, by tag or by subject, and waits without one', async () => {
  const above = await start()
  const byTag = await image(above.client, 'team/app', 'by tag', 'v1')
  await sign(above, byTag.digest)
  const bySubject = await image(above.client, 'team/app', 'by subject', 'v2')
  await attach(above.client, 'team/app', [signedBundle(release, bySubject.digest)], {
    subject: bySubject,
    artifactType: bundleManifest,
  })
  const unsigned = await image(above.client, 'team/app', 'unsigned', 'v3')
  const here = await start(above)
  const status = await run(here)
  expect(status.counts).toMatchObject({ copied: 2, rejected: 1 })
  expect(status.failures).toEqual([
    expect.objectContaining({
      tag: 'v3',
      reason: 'rejected',
      message: expect.stringContaining('signature policy "copies": nothing is signed'),
    }),
  ])
  expect(await digestOf(here, 'v1')).toBe(byTag.digest)
  expect(await digestOf(here, 'v2')).toBe(bySubject.digest)
  expect(await digestOf(here, 'v3')).toBeUndefined()

  await sign(above, unsigned.digest)
  expect((await run(here)).counts).toMatchObject({ copied: 1, rejected: 0 })
  expect(await digestOf(here, 'v3')).toBe(unsigned.digest)
})

test('a tag that waits for its signature comes with it, where the source tells what changed', async () => {
  const above = await start()
  await image(above.client, 'team/app', 'other', 'v0')
  const here = await start(above, 'enforce', 'fastregistry')
  await run(here, false)
  const [byTag, bySubject] = [
    await image(above.client, 'team/app', 'by tag', 'v1'),
    await image(above.client, 'team/app', 'by subject', 'v2'),
  ]
  const [v1, v2] = [byTag.digest, bySubject.digest]
  expect((await run(here, false)).counts).toMatchObject({ rejected: 3 })
  await sign(above, v1)
  await attach(above.client, 'team/app', [signedBundle(release, v2)], {
    subject: bySubject,
    artifactType: bundleManifest,
  })
  expect((await run(here, false)).counts).toMatchObject({ copied: 2, rejected: 1 })
  expect(await digestOf(here, 'v1')).toBe(v1)
  expect(await digestOf(here, 'v2')).toBe(v2)
})

test('a tag that upstream moves to an image without a signature stays where it is', async () => {
  const above = await start()
  const first = await image(above.client, 'team/app', 'first', 'v1')
  await sign(above, first.digest)
  const here = await start(above)
  await run(here)
  await image(above.client, 'team/app', 'second', 'v1')
  expect((await run(here)).counts).toMatchObject({ rejected: 1 })
  expect(await digestOf(here, 'v1')).toBe(first.digest)
})

test('a signature that was deleted here vouches for nothing', async () => {
  const above = await start()
  const app = await image(above.client, 'team/app', 'revoked', 'v1')
  await sign(above, app.digest)
  const here = await start(above)
  await run(here)
  const path = `/v2/team/app/manifests/${named(app.digest)}.sig`
  expect((await here.client.delete(path)).status).toBe(202)
  await image(above.client, 'team/app', 'revoked', 'latest')
  expect((await run(here)).counts).toMatchObject({ rejected: 1 })
  expect(await digestOf(here, 'latest')).toBeUndefined()
  expect(await digestOf(here, 'v1')).toBe(app.digest)
})

test('an image that can be run does not come along under the name of a signature', async () => {
  const above = await start()
  const app = await image(above.client, 'team/app', 'honest', 'v1')
  await sign(above, app.digest)
  await image(above.client, 'team/app', 'runs', `${named(app.digest)}.att`)
  const here = await start(above)
  expect((await run(here)).counts).toMatchObject({ copied: 1 })
  expect(await digestOf(here, 'v1')).toBe(app.digest)
  expect(await digestOf(here, `${named(app.digest)}.sig`)).toBeDefined()
  expect(await digestOf(here, `${named(app.digest)}.att`)).toBeUndefined()
})

test('audit lets it come, and lists it', async () => {
  const above = await start()
  const app = await image(above.client, 'team/app', 'audited', 'v1')
  const here = await start(above, 'audit')
  expect((await run(here)).counts).toMatchObject({ copied: 1, rejected: 0 })
  expect(await digestOf(here, 'v1')).toBe(app.digest)
  const { violations } = await adminJson<{ violations: object[] }>(
    here.client,
    'GET',
    '/admin/signatures/violations',
  )
  expect(violations).toEqual([expect.objectContaining({ tag: 'v1', by: 'sync:above' })])
})
