/**
 * @module What an operator reads of policies and verdicts: with images and tags, on the command line, in a configuration.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { adminJson } from '../../support/admin.ts'
import { attach } from '../../support/attach-signatures.ts'
import { image, named } from '../../support/attached.ts'
import { runCli } from '../../support/cli.ts'
import { describeRegistry, until } from '../../support/in-process.ts'
import { attestation, makeSigner, simpleSigning } from '../../support/signing.ts'

const release = makeSigner()
const config = {
  signing: {
    keys: [{ name: 'release', pem: release.pem }],
    policies: [
      {
        name: 'prod',
        repositories: ['prod/**'],
        tags: ['v*'],
        mode: 'warn',
        gates: ['pull'],
        require: [{ signature: { by: [{ key: 'release' }] } }],
      },
    ],
  },
}
const folder = mkdtempSync(join(tmpdir(), 'fastregistry-signing-surface-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describeRegistry('what is known of signatures', { config, engines: ['uws'] }, (registry) => {
  const cli = (...words: string[]) =>
    runCli(['signatures', ...words, '--server', `http://127.0.0.1:${registry().port}`])

  test('stands with an image and its tags once it is known', async () => {
    const { client } = registry()
    const app = await image(client, 'prod/app', 'shown', 'v1')
    await image(client, 'free/app', 'shown', 'v1')
    const layer = simpleSigning(release, app.digest)
    await attach(client, 'prod/app', [layer], { tag: `${named(app.digest)}.sig` })
    expect((await client.get('/v2/prod/app/manifests/v1')).status).toBe(200)
    const signature = { state: 'verified', by: ['release'], policy: 'prod' }
    const shown = () =>
      adminJson<Record<string, unknown>>(client, 'GET', '/admin/repositories/prod/app/manifests/v1')
    await until(async () => (await shown())['signature'] !== undefined)
    expect(await shown()).toMatchObject({ signature })
    const { tags } = await adminJson<{ tags: Record<string, unknown>[] }>(
      client,
      'GET',
      '/admin/repositories/prod/app/tags',
    )
    expect(tags.find(({ tag }) => tag === 'v1')).toMatchObject({ signature })
    const path = '/admin/repositories/free/app/manifests/v1'
    expect(await adminJson(client, 'GET', path)).not.toHaveProperty('signature')
  })

  test('signatures explain reports what is asked for, what is there, and how to see it', async () => {
    const { client } = registry()
    const app = await image(client, 'prod/explained', 'explained', 'v1')
    const stranger = makeSigner()
    const layers = [simpleSigning(stranger, app.digest), attestation(stranger, app.digest, "it's")]
    await attach(client, 'prod/explained', layers, { tag: `${named(app.digest)}.sig` })
    const { code, stdout } = await cli('explain', 'prod/explained:v1')
    expect(code).toBe(1)
    expect(stdout).toContain(`${app.digest}: untrusted`)
    expect(stdout).toContain('policy prod asks for:\n  a signature by release')
    expect(stdout).toContain('none of the keys in signing.keys made it')
    const at = `127.0.0.1:${registry().port}/prod/explained@${app.digest}`
    expect(stdout).toContain(`try: cosign verify --key KEY.pub --insecure-ignore-tlog ${at}`)
    // What a stranger wrote is one word for a shell.
    expect(stdout).toContain("cosign verify-attestation --type 'it'\\''s' --key")
    await attach(client, 'prod/explained', [simpleSigning(release, app.digest)], {
      tag: `${named(app.digest)}.sig`,
    })
    expect((await cli('explain', 'prod/explained:v1')).code).toBe(0)
    expect((await cli('explain', 'prod/none:v1')).code).toBe(3)
  })
})

test('check-config --explain-signing reports which policy decides', async () => {
  const file = join(folder, 'config.yaml')
  writeFileSync(file, JSON.stringify(config))
  const explain = (name: string) => runCli(['check-config', file, '--explain-signing', name])
  const governed = await explain('prod/app:v1')
  expect(governed.stdout).toContain('prod/app: policy "prod" (warn) at the gates pull')
  expect(governed.stdout).toContain('a signature by release')
  expect(governed.code).toBe(0)
  expect(await explain('prod/app:latest')).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('it does not govern the tag'),
  })
  expect(await explain('other/app')).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('no policy of signing.policies decides'),
  })
  expect((await explain('Prod/app')).code).toBe(2)
})
