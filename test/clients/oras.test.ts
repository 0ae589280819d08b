/** @module `oras` against the registry: push, attach, discover, pull, copy, tags, delete. */

import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { blobPath, type Layout } from '../support/random-image.ts'
import { ARTIFACT_TYPE } from './support/images.ts'
import { digestsOf, readLayout, sha256 } from './support/layout.ts'
import { clientSession } from './support/session.ts'
import { need } from './support/tools.ts'
import { listReferrers, listTags, putLayout, readWhole, statusOf } from './support/wire.ts'

interface Pushed {
  readonly digest: string
  readonly referrers?: readonly { readonly digest: string; readonly artifactType: string }[]
}

const session = clientSession('oras')
const oras = async (...args: string[]) => (await session.run('oras', ...args)).stdout.trim()
const orasJson = async (...args: string[]) =>
  JSON.parse(await oras(...args, '--plain-http', '--format', 'json')) as Pushed

describe('oras cp', () => {
  const thereAndBack = async (name: string, layout: Layout) => {
    const copy = session.own(name)
    const reference = session.at(`oras/${name}:v1`)
    await oras('cp', '--from-oci-layout', `${layout.folder}:latest`, '--to-plain-http', reference)
    const stored = await readWhole(session.target, `oras/${name}`, 'v1')
    expect(stored.digest).toBe(layout.digest)
    await oras('cp', '--from-plain-http', reference, '--to-oci-layout', `${copy}:latest`)
    const back = await readLayout(copy)
    expect(back.digest).toBe(layout.digest)
    expect(back.blobs).toEqual(digestsOf(layout))
    await rm(copy, { recursive: true })
  }

  test('moves a multi-layer image there and back byte for byte', () =>
    thereAndBack('multi-layer', session.images.multiLayer))

  test('moves an index of two platforms there and back byte for byte', () =>
    thereAndBack('multi-arch', session.images.multiArch))

  test('moves an image with an empty layer there and back byte for byte', () =>
    thereAndBack('empty-layer', session.images.emptyLayer))

  test('moves an image without layers there and back byte for byte', () =>
    thereAndBack('no-layers', session.images.noLayers))

  test('moves zstd layers there and back byte for byte', async (context) => {
    need(context, 'zstd')
    await thereAndBack('zstd', session.images.zstd!)
  })
})

describe('an artifact of more than 100 MiB', () => {
  const name = 'oras/artifact'
  let subject: Pushed
  let attached: Pushed

  test('is pushed by oras push and keeps its bytes', async () => {
    const { multiLayer } = session.images
    const [base] = multiLayer.layers
    const { digest } = base!
    await copyFile(blobPath(multiLayer.folder, digest), session.own('big.bin'))
    const file = 'big.bin:application/octet-stream'
    const type = ['--artifact-type', ARTIFACT_TYPE]
    subject = await orasJson('push', session.at(`${name}:v1`), ...type, file)
    const stored = await readWhole(session.target, name, 'v1')
    expect(stored.digest).toBe(subject.digest)
    expect(stored.body.layers?.map((layer) => layer.digest)).toEqual([digest])
  })

  test('takes an attached artifact, found again by oras discover', async () => {
    await copyFile(process.execPath, session.own('attached.bin'))
    const file = 'attached.bin:application/octet-stream'
    const type = ['--artifact-type', 'application/vnd.example.attached']
    attached = await orasJson('attach', ...type, session.at(`${name}:v1`), file)
    const found = await orasJson('discover', session.at(`${name}:v1`))
    expect(found.referrers?.map(({ digest }) => digest)).toEqual([attached.digest])
    const { body } = await readWhole(session.target, name, attached.digest)
    expect(body.subject?.digest).toBe(subject.digest)
  })

  test('has its attached artifact in the referrers API, not in a fallback tag', async (context) => {
    if (session.target.process === undefined) context.skip('a foreign registry may lack the API')
    const referrers = await listReferrers(session.target, name, subject.digest)
    expect(referrers.map(({ digest }) => digest)).toEqual([attached.digest])
    expect(await listTags(session.target, name)).toEqual(['v1'])
    const other = ['--artifact-type', 'application/vnd.example.other']
    const none = await orasJson('discover', ...other, session.at(`${name}:v1`))
    expect(none.referrers).toEqual([])
  })

  test('is pulled by oras pull with the same bytes', async () => {
    const out = session.own('pulled')
    await oras('pull', '--plain-http', '--output', out, session.at(`${name}:v1`))
    await oras('pull', '--plain-http', '-o', out, `${session.at(name)}@${attached.digest}`)
    for (const file of ['big.bin', 'attached.bin']) {
      expect(await sha256(join(out, file))).toBe(await sha256(session.own(file)))
    }
  })

  test('is copied with its referrers by oras cp --recursive', async () => {
    const plainHttp = ['--from-plain-http', '--to-plain-http']
    await oras('cp', '-r', ...plainHttp, session.at(`${name}:v1`), session.at('oras/copied:v1'))
    const found = await orasJson('discover', session.at('oras/copied:v1'))
    expect(found.referrers?.map(({ digest }) => digest)).toEqual([attached.digest])
  })

  test('loses its referrer when the attached manifest is deleted', async () => {
    const manifest = `${session.at(name)}@${attached.digest}`
    await oras('manifest', 'delete', '--force', '--plain-http', manifest)
    expect(await statusOf(session.target, `/v2/${name}/manifests/${attached.digest}`)).toBe(404)
    const found = await orasJson('discover', session.at(`${name}:v1`))
    expect(found.referrers).toEqual([])
  })
})

test('oras blob push, fetch and delete handle a single blob', async () => {
  const repository = session.at('oras/blob')
  const file = session.own('blob.bin')
  await copyFile(process.execPath, file)
  const digest = `sha256:${await sha256(file)}`
  await oras('blob', 'push', '--plain-http', `${repository}@${digest}`, file)
  const out = session.own('fetched.bin')
  await oras('blob', 'fetch', '--plain-http', '--output', out, `${repository}@${digest}`)
  expect(await sha256(out)).toBe(digest.slice('sha256:'.length))
  await oras('blob', 'delete', '--force', '--plain-http', `${repository}@${digest}`)
  expect(await statusOf(session.target, `/v2/oras/blob/blobs/${digest}`)).toBe(404)
})

test('oras tag, resolve, repo tags and repo ls agree with the registry', async () => {
  const { emptyLayer } = session.images
  await putLayout(session.target, 'oras/tags', 'v1', emptyLayer)
  await oras('tag', '--plain-http', session.at('oras/tags:v1'), 'v2', 'v3')
  expect(await oras('resolve', '--plain-http', session.at('oras/tags:v3'))).toBe(emptyLayer.digest)
  const tags = await oras('repo', 'tags', '--plain-http', session.at('oras/tags'))
  expect(tags.split('\n')).toEqual(['v1', 'v2', 'v3'])
  const repositories = await oras('repo', 'ls', '--plain-http', session.target.address)
  expect(repositories.split('\n')).toContain('oras/tags')
})

test('oras manifest delete removes an image from every listing', async () => {
  const { emptyLayer } = session.images
  await putLayout(session.target, 'oras/delete', 'v1', emptyLayer)
  await oras('manifest', 'delete', '--force', '--plain-http', session.at('oras/delete:v1'))
  expect(await listTags(session.target, 'oras/delete')).toEqual([])
  const fetch = ['manifest', 'fetch', '--plain-http', session.at('oras/delete:v1')]
  expect(await session.runFailing('oras', ...fetch)).toMatch(/not found/)
})
