/**
 * @module The action `sign`: a signing robot attaches signatures, and can neither push nor replace an image.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { basic, bearer, htpasswd } from '../../support/access.ts'
import { attach, bundleManifest } from '../../support/attach-signatures.ts'
import { image, named } from '../../support/attached.ts'
import { describeRegistry } from '../../support/in-process.ts'
import {
  type Descriptor,
  imageIndex,
  imageManifest,
  RegistryClient,
  type RequestOptions,
  sha256,
} from '../../support/registry-client.ts'
import { makeSigner, signedBundle, simpleSigning } from '../../support/signing.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-signers-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd({ builder: 'builder-secret', robot: 'robot-secret' }))
const config = {
  auth: { type: 'htpasswd', htpasswd_file: file, tokens: { realm: 'http://registry.test/token' } },
  access: [
    { repositories: ['team/*'], users: ['builder'], actions: ['pull', 'push', 'delete', 'list'] },
    { repositories: ['team/*'], users: ['robot'], actions: ['pull', 'sign'] },
    { repositories: ['other/*'], users: ['robot'], actions: ['pull', 'push'] },
  ],
}
const release = makeSigner()
const mib = 1024 * 1024

/** A client that logs in with every request. */
class Account extends RegistryClient {
  readonly #login: Readonly<Record<string, string>>

  constructor(port: number, login: Readonly<Record<string, string>>) {
    super(port)
    this.#login = login
  }

  override request(method: string, target: string, options: RequestOptions = {}) {
    return super.request(method, target, {
      ...options,
      headers: { ...this.#login, ...options.headers },
    })
  }
}

describeRegistry('an account that may only sign', { config }, (registry) => {
  const builder = () => new Account(registry().port, basic('builder', 'builder-secret'))
  const robot = () => new Account(registry().port, basic('robot', 'robot-secret'))
  const put = (client: RegistryClient, reference: string, body: object) =>
    client.putManifest('team/app', reference, JSON.stringify(body), {
      'Content-Type': (body as { mediaType: string }).mediaType,
    })
  const refused = expect.objectContaining({ code: 'DENIED' })
  const expectRefused = async (answer: ReturnType<typeof put>, why: string) => {
    const { status, json } = await answer
    expect(status).toBe(403)
    const { errors } = json as { errors: { message: string }[] }
    expect(errors[0]).toEqual(refused)
    expect(errors[0]!.message).toContain(why)
  }

  test('attaches by a tag and by a subject', async () => {
    const subject = await image(builder(), 'team/app', 'signed', 'v1')
    const { digest } = subject
    const layer = simpleSigning(release, digest)
    await attach(robot(), 'team/app', [layer], { tag: `${named(digest)}.sig` })
    const bundle = [signedBundle(release, digest)]
    const to = { subject, artifactType: bundleManifest }
    const attached = await attach(robot(), 'team/app', bundle, to)
    expect((await put(robot(), named(digest), imageIndex([attached]))).status).toBe(201)
  })

  test('attaches with the token that a client gets who asks to push', async () => {
    const { digest } = await image(builder(), 'team/app', 'by token', 'v2')
    const query = 'service=registry.test&scope=repository:team/app:pull,push'
    const answer = await robot().get(`/token?${query}`)
    const { token } = answer.json as { token: string }
    const client = new Account(registry().port, bearer(token))
    const layer = simpleSigning(release, digest)
    await attach(client, 'team/app', [layer], { tag: `${named(digest)}.sig` })
  })

  test('pushes no image, under any name', async () => {
    const it = await image(builder(), 'team/app', 'to be replaced', 'latest')
    const config = await robot().pushBlob('team/app', '{}')
    const layer = await robot().pushBlob('team/app', 'a layer that runs')
    const body = imageManifest(config, [layer])
    const why = 'something else than signatures'
    await expectRefused(put(robot(), 'latest', body), why)
    await expectRefused(put(robot(), sha256(JSON.stringify(body)), body), why)
    await expectRefused(put(robot(), `${named(it.digest)}.sig`, body), why)
    const withSubject = imageManifest(config, [layer], { subject: it })
    await expectRefused(put(robot(), sha256(JSON.stringify(withSubject)), withSubject), why)
    expect(
      (await builder().get('/v2/team/app/manifests/latest')).headers['docker-content-digest'],
    ).toBe(it.digest)
  })

  test('gives no signature a name of its own, and attaches to nothing that is not here', async () => {
    const it = await image(builder(), 'team/app', 'another', 'v3')
    const layers = [simpleSigning(release, it.digest)]
    const attachTo = (to: Parameters<typeof attach>[3]) =>
      attach(robot(), 'team/app', layers, to).then(
        () => 'attached',
        (error: Error) => error.message,
      )
    expect(await attachTo({ tag: 'latest' })).toContain('not named after the image')
    const absent: Descriptor = { ...it, digest: sha256('nothing') }
    expect(await attachTo({ tag: `${named(absent.digest)}.sig` })).toContain('not named after')
    const artifactType = bundleManifest
    expect(await attachTo({ subject: absent, artifactType })).toContain('no subject')
  })

  test('takes no tag from an image', async () => {
    const it = await image(builder(), 'team/app', 'mirrored by oc-mirror', 'v4')
    const tag = `${named(it.digest)}.sig`
    const other = await image(builder(), 'team/app', 'under the name of a signature', tag)
    const layers = [simpleSigning(release, it.digest)]
    await expect(attach(robot(), 'team/app', layers, { tag })).rejects.toThrow('points at an image')
    expect(
      (await builder().get(`/v2/team/app/manifests/${tag}`)).headers['docker-content-digest'],
    ).toBe(other.digest)
  })

  test('neither deletes nor mounts, and uploads no blob that is too long for a signature', async () => {
    const it = await image(builder(), 'team/app', 'kept', 'v5')
    const target = `/v2/team/app/manifests/${it.digest}`
    expect((await robot().request('DELETE', target)).status).toBe(401)
    const layer = await robot().pushBlob('other/source', 'a layer elsewhere')
    const uploads = '/v2/team/app/blobs/uploads/'
    const mount = `${uploads}?mount=${layer.digest}&from=other/source`
    expect((await robot().request('POST', mount)).status).toBe(202)
    const long = Buffer.alloc(17 * mib)
    const whole = `${uploads}?digest=${sha256(long)}`
    expect((await robot().request('POST', whole, { body: long })).status).toBe(413)
    const opened = await robot().request('POST', uploads)
    const session = opened.headers['location'] as string
    const half = long.subarray(0, 10 * mib)
    expect((await robot().request('PATCH', session, { body: half })).status).toBe(202)
    expect((await robot().request('PATCH', session, { body: half })).status).toBe(413)
  })
})
