/**
 * @module The kill switch: no pull, no tag and no copy of a digest that is revoked, or of what an index of it lists,
 * anywhere, from the moment when that is acknowledged.
 */
import { expect, test } from 'vitest'
import { admin, adminJson } from '../../support/admin.ts'
import { attach } from '../../support/attach-signatures.ts'
import { image, named, put } from '../../support/attached.ts'
import { runHere } from '../../support/cli.ts'
import { describeRegistry } from '../../support/in-process.ts'
import {
  imageIndex,
  imageManifest,
  type RegistryClient,
  sha256,
} from '../../support/registry-client.ts'
import { makeSigner, simpleSigning } from '../../support/signing.ts'

const release = makeSigner()
const configured = JSON.stringify(
  imageManifest(
    { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256('{}'), size: 2 },
    [],
  ),
)
const config = {
  signing: {
    keys: [{ name: 'release', pem: release.pem }],
    revoked: { digests: [sha256(configured)] },
    policies: [
      {
        name: 'prod',
        repositories: ['prod/**'],
        mode: 'audit',
        gates: ['tag', 'copy', 'pull'],
        require: [{ signature: { by: [{ key: 'release' }] } }],
      },
    ],
  },
}

interface Refusal {
  readonly errors: readonly [{ readonly message: string; readonly detail: object }]
}

const get = (client: RegistryClient, repository: string, reference: string) =>
  client.get(`/v2/${repository}/manifests/${reference}`)
const revoke = (client: RegistryClient, digest: string, reason = 'backdoor') =>
  adminJson(client, 'POST', '/admin/signatures/revoke', { digest, reason })
const allow = (client: RegistryClient, digest: string) =>
  adminJson(client, 'DELETE', `/admin/signatures/revoke/${digest}`)

describeRegistry('what is revoked', { config }, (registry) => {
  test('is pulled no more, in any repository, prepared answers included', async () => {
    const { client } = registry()
    const app = await image(client, 'prod/app', 'revoked', 'v1')
    await image(client, 'dev/app', 'revoked', 'v1')
    await attach(client, 'prod/app', [simpleSigning(release, app.digest)], {
      tag: `${named(app.digest)}.sig`,
    })
    const places = ['prod/app', 'dev/app'].flatMap((it) => [
      [it, 'v1'],
      [it, app.digest],
    ]) as [string, string][]
    for (const [repository, reference] of places) {
      for (let time = 0; time < 2; time += 1) {
        expect((await get(client, repository, reference)).status).toBe(200)
      }
    }
    await revoke(client, app.digest)
    for (const [repository, reference] of places) {
      const refused = await get(client, repository, reference)
      expect(refused.status).toBe(403)
      const [error] = (refused.json as Refusal).errors
      expect(error.message).toContain(`${app.digest} is revoked: backdoor`)
      expect(error.detail).toMatchObject({ gate: 'pull', state: 'revoked', digest: app.digest })
      const head = await client.head(`/v2/${repository}/manifests/${reference}`)
      expect(head.status).toBe(200)
      expect(head.headers['x-fastregistry-signature']).toMatch(/^revoked/)
    }
    expect(((await get(client, 'prod/app', 'v1')).json as Refusal).errors[0].message).toMatch(
      /^signature policy "prod": /,
    )
    const listed = await adminJson(client, 'GET', '/admin/signatures/revoked')
    expect(listed).toMatchObject({
      revoked: [
        { digest: sha256(configured), configured: true },
        { digest: app.digest, reason: 'backdoor', configured: false },
      ],
    })
    const { state } = await adminJson<{ state: string }>(
      client,
      'GET',
      '/admin/repositories/prod/app/manifests/v1/signatures',
    )
    expect(state).toBe('revoked')
    const { events } = await adminJson<{ events: object[] }>(
      client,
      'GET',
      '/admin/events?action=revoke',
    )
    expect(events).toMatchObject([{ digest: app.digest, why: 'backdoor' }])
    await registry().restart()
    expect((await get(registry().client, 'dev/app', 'v1')).status).toBe(403)
    await allow(registry().client, app.digest)
    for (const [repository, reference] of places) {
      expect((await get(registry().client, repository, reference)).status).toBe(200)
    }
  })

  test('gets no tag, whatever the mode of the policy is, and where there is none', async () => {
    const { client } = registry()
    const app = await image(client, 'prod/app', 'tags', 'v2')
    await image(client, 'dev/app', 'tags', 'v2')
    await revoke(client, app.digest, '')
    for (const repository of ['prod/app', 'dev/app']) {
      await expect(image(client, repository, 'tags', 'v3')).rejects.toThrow()
      expect((await client.head(`/v2/${repository}/manifests/v3`)).status).toBe(404)
    }
    const copied = await admin(client, 'POST', '/admin/copy', {
      from: { repository: 'dev/app', reference: 'v2' },
      to: { repository: 'dev/copy', tag: 'v2' },
    })
    expect(copied.status).toBe(403)
    expect(copied.text).toContain('is revoked')
    await allow(client, app.digest)
    await image(client, 'dev/app', 'tags', 'v3')
  })

  test('takes along what it lists, also what it lists when it comes later', async () => {
    const { client } = registry()
    const member = await image(client, 'dev/multi', 'member')
    const index = await put(client, 'dev/multi', imageIndex([member]), 'v1')
    const good = await put(client, 'dev/multi', imageIndex([member], { annotations: { a: 'b' } }))
    expect((await get(client, 'dev/multi', member.digest)).status).toBe(200)
    await revoke(client, index.digest)
    for (const reference of ['v1', member.digest]) {
      expect((await get(client, 'dev/multi', reference)).status).toBe(403)
    }
    // What else lists it is as it was.
    expect((await get(client, 'dev/multi', good.digest)).status).toBe(200)
    await allow(client, index.digest)
    expect((await get(client, 'dev/multi', member.digest)).status).toBe(200)

    const later = imageIndex([member], { annotations: { later: 'yes' } })
    await revoke(client, sha256(JSON.stringify(later)))
    expect((await get(client, 'dev/multi', member.digest)).status).toBe(200)
    await put(client, 'dev/multi', later)
    expect((await get(client, 'dev/multi', member.digest)).status).toBe(403)
    await allow(client, sha256(JSON.stringify(later)))
  })

  test('the command line revokes, lists and takes back', async () => {
    const { client } = registry()
    const app = await image(client, 'dev/cli', 'cli', 'v1')
    await image(client, 'prod/cli', 'cli', 'v1')
    expect((await get(client, 'prod/cli', 'v1')).status).toBe(200)
    const run = async (line: string) => {
      const { code, out, errors } = await runHere(line, registry().port)
      expect(code, errors).toBe(0)
      return out
    }
    expect(await run(`signatures revoke ${app.digest} --reason=CLI`)).toContain('is revoked')
    expect(await run('signatures revoked')).toMatch(new RegExp(`${app.digest}.*CLI`))
    expect((await get(client, 'dev/cli', 'v1')).status).toBe(403)
    expect(await run(`signatures allow ${app.digest}`)).toContain('is not revoked any more')
    expect((await get(client, 'dev/cli', 'v1')).status).toBe(200)
    expect(await run('signatures violations')).toContain(`prod/cli@${app.digest}`)
  })

  test('a digest of the configuration stays revoked', async () => {
    const { client } = registry()
    await client.pushBlob('dev/app', '{}')
    const type = { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' }
    const digest = sha256(configured)
    expect((await client.putManifest('dev/app', digest, configured, type)).status).toBe(201)
    expect((await get(client, 'dev/app', digest)).status).toBe(403)
    const kept = await admin(client, 'DELETE', `/admin/signatures/revoke/${digest}`)
    expect(kept.status).toBe(404)
    expect((await admin(client, 'POST', '/admin/signatures/revoke', { digest: 'x' })).status).toBe(
      400,
    )
  })
})
