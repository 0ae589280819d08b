/** @module `skopeo` against the registry: copy, sync, inspect, list-tags, delete. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Layout } from '../support/random-image.ts'
import { digestsOf, readLayout } from './support/layout.ts'
import { clientSession } from './support/session.ts'
import { need } from './support/tools.ts'
import { listReferrers, listTags, putLayout, readWhole, statusOf } from './support/wire.ts'

const session = clientSession('skopeo')
const skopeo = (...args: string[]) => session.run('skopeo', '--insecure-policy', ...args)
const remote = (name: string) => `docker://${session.at(name)}`
const OUT = ['--dest-tls-verify=false', '--all']
const IN = ['--src-tls-verify=false', '--all', '--preserve-digests']

describe('skopeo copy', () => {
  const thereAndBack = async (name: string, layout: Layout) => {
    const copy = session.own(name)
    const source = `oci:${layout.folder}:latest`
    await skopeo('copy', ...OUT, '--preserve-digests', source, remote(`skopeo/${name}:v1`))
    const stored = await readWhole(session.target, `skopeo/${name}`, 'v1')
    expect(stored.digest).toBe(layout.digest)
    await skopeo('copy', ...IN, remote(`skopeo/${name}:v1`), `oci:${copy}:latest`)
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

  test('moves an artifact that then is a referrer of its subject', async () => {
    const { artifact } = session.images
    await thereAndBack('artifact', artifact)
    if (session.target.process === undefined) return
    const { body } = await readWhole(session.target, 'skopeo/artifact', 'v1')
    const referrers = await listReferrers(
      session.target,
      'skopeo/artifact',
      body.subject?.digest ?? '',
    )
    expect(referrers.map(({ digest }) => digest)).toEqual([artifact.digest])
  })

  test('pushes an image with Docker media types, which pulls back unchanged', async () => {
    const copy = session.own('docker-types')
    const source = `oci:${session.images.emptyLayer.folder}:latest`
    await skopeo('copy', ...OUT, '--format', 'v2s2', source, remote('skopeo/docker:v1'))
    const stored = await readWhole(session.target, 'skopeo/docker', 'v1')
    expect(stored.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json')
    await skopeo('copy', ...IN, remote('skopeo/docker:v1'), `dir:${copy}`)
    const { stdout } = await skopeo('manifest-digest', join(copy, 'manifest.json'))
    expect(stdout.trim()).toBe(stored.digest)
  })

  test('copies from repository to repository inside the registry', async () => {
    const { multiLayer } = session.images
    await putLayout(session.target, 'skopeo/from', 'v1', multiLayer)
    const tls = ['--src-tls-verify=false', '--dest-tls-verify=false']
    await skopeo('copy', ...tls, remote('skopeo/from:v1'), remote('skopeo/to:v1'))
    expect((await readWhole(session.target, 'skopeo/to', 'v1')).digest).toBe(multiLayer.digest)
  })
})

test('skopeo sync copies every tag of a repository out and into another one', async () => {
  const { emptyLayer, multiArch } = session.images
  await putLayout(session.target, 'skopeo/sync', 'one', emptyLayer)
  await putLayout(session.target, 'skopeo/sync', 'two', multiArch)
  const folder = session.own('sync')
  const from = ['--src', 'docker', '--src-tls-verify=false', '--dest', 'dir']
  await skopeo('sync', '--all', ...from, session.at('skopeo/sync'), folder)
  const into = ['--src', 'dir', '--dest', 'docker', '--dest-tls-verify=false']
  await skopeo('sync', '--all', ...into, folder, session.at('synced'))
  expect(await listTags(session.target, 'synced/sync')).toEqual(['one', 'two'])
  expect((await readWhole(session.target, 'synced/sync', 'one')).digest).toBe(emptyLayer.digest)
  expect((await readWhole(session.target, 'synced/sync', 'two')).digest).toBe(multiArch.digest)
})

test('skopeo inspect and list-tags show what is there', async () => {
  const { multiLayer } = session.images
  await putLayout(session.target, 'skopeo/inspect', 'v1', multiLayer)
  await putLayout(session.target, 'skopeo/inspect', 'v2', multiLayer)
  const inspected = await skopeo('inspect', '--tls-verify=false', remote('skopeo/inspect:v1'))
  expect(JSON.parse(inspected.stdout)).toMatchObject({
    Digest: multiLayer.digest,
    RepoTags: ['v1', 'v2'],
    Layers: multiLayer.layers.map((layer) => layer.digest),
  })
  const listed = await skopeo('list-tags', '--tls-verify=false', remote('skopeo/inspect'))
  expect(JSON.parse(listed.stdout)).toMatchObject({ Tags: ['v1', 'v2'] })
})

test('skopeo delete removes the image from every listing', async () => {
  const { emptyLayer } = session.images
  await putLayout(session.target, 'skopeo/delete', 'v1', emptyLayer)
  await skopeo('delete', '--tls-verify=false', remote('skopeo/delete:v1'))
  expect(await listTags(session.target, 'skopeo/delete')).toEqual([])
  const manifest = `/v2/skopeo/delete/manifests/${emptyLayer.digest}`
  expect(await statusOf(session.target, manifest)).toBe(404)
  const args = ['--insecure-policy', 'inspect', '--tls-verify=false', remote('skopeo/delete:v1')]
  expect(await session.runFailing('skopeo', ...args)).toMatch(/manifest unknown/)
})
