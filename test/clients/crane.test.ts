/** @module `crane` against the registry: push, pull, copy, ls, catalog, digest, index, delete. */

import { rm } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { blobPath, type Layout } from '../support/random-image.ts'
import { digestsOf, readLayout } from './support/layout.ts'
import { clientSession } from './support/session.ts'
import { need } from './support/tools.ts'
import { listTags, putLayout, readManifest, readWhole, statusOf } from './support/wire.ts'

const session = clientSession('crane')
const crane = async (...args: string[]) =>
  (await session.run('crane', '--insecure', ...args)).stdout.trim()

describe('crane push and pull', () => {
  const thereAndBack = async (name: string, layout: Layout) => {
    const reference = session.at(`crane/${name}:v1`)
    const copy = session.own(name)
    const pushed = await crane('push', layout.folder, reference)
    expect(pushed).toBe(`${session.at(`crane/${name}`)}@${layout.digest}`)
    const stored = await readWhole(session.target, `crane/${name}`, 'v1')
    expect(stored.digest).toBe(layout.digest)
    await crane('pull', '--format=oci', reference, copy)
    const back = await readLayout(copy)
    expect(back.digest).toBe(layout.digest)
    expect(back.blobs).toEqual(digestsOf(layout))
    await rm(copy, { recursive: true })
  }

  test('move a multi-layer image there and back byte for byte', () =>
    thereAndBack('multi-layer', session.images.multiLayer))

  test('move an index of two platforms there and back byte for byte', () =>
    thereAndBack('multi-arch', session.images.multiArch))

  test('move an image with an empty layer there and back byte for byte', () =>
    thereAndBack('empty-layer', session.images.emptyLayer))

  test('move an image without layers there and back byte for byte', () =>
    thereAndBack('no-layers', session.images.noLayers))

  test('move zstd layers there and back byte for byte', async (context) => {
    need(context, 'zstd')
    await thereAndBack('zstd', session.images.zstd!)
  })

  test('move an artifact with a subject there and back byte for byte', () =>
    thereAndBack('artifact', session.images.artifact))
})

test('crane validate finds every digest and diff id of a remote image right', async () => {
  await putLayout(session.target, 'crane/validate', 'v1', session.images.multiLayer)
  await crane('validate', '--remote', session.at('crane/validate:v1'))
})

test('crane digest, manifest, config and blob give the stored bytes', async () => {
  const { emptyLayer, multiArch } = session.images
  await putLayout(session.target, 'crane/read', 'image', emptyLayer)
  await putLayout(session.target, 'crane/read', 'index', multiArch)
  const { body } = await readManifest(session.target, 'crane/read', 'image')
  expect(await crane('digest', session.at('crane/read:index'))).toBe(multiArch.digest)
  expect(JSON.parse(await crane('manifest', session.at('crane/read:image')))).toEqual(body)
  const config = JSON.parse(await crane('config', session.at('crane/read:image')))
  const diffIds = emptyLayer.layers.map((layer) => layer.diffId)
  expect(config).toMatchObject({ rootfs: { diff_ids: diffIds } })
  const blob = await crane('blob', `${session.at('crane/read')}@${body.config?.digest}`)
  expect(JSON.parse(blob)).toEqual(config)
})

test('crane copy mounts an index into another repository, digests unchanged', async () => {
  const { multiArch } = session.images
  await putLayout(session.target, 'crane/from', 'v1', multiArch)
  await crane('copy', session.at('crane/from:v1'), session.at('crane/to:v2'))
  expect((await readWhole(session.target, 'crane/to', 'v2')).digest).toBe(multiArch.digest)
})

test('crane append adds a layer to a remote image', async () => {
  const { emptyLayer, multiLayer } = session.images
  await putLayout(session.target, 'crane/append', 'v1', emptyLayer)
  const layer = multiLayer.layers[1]!
  const file = blobPath(multiLayer.folder, layer.digest)
  const [base, grown] = [session.at('crane/append:v1'), session.at('crane/append:v2')]
  await crane('append', '--base', base, '--new_layer', file, '--new_tag', grown)
  const { body } = await readWhole(session.target, 'crane/append', 'v2')
  expect(body.layers?.map(({ digest }) => digest)).toEqual([
    ...emptyLayer.layers.map(({ digest }) => digest),
    layer.digest,
  ])
})

test('crane index append and filter make new indexes out of stored manifests', async () => {
  const { multiArch, emptyLayer } = session.images
  await putLayout(session.target, 'crane/index', 'two', multiArch)
  await putLayout(session.target, 'crane/index', 'more', emptyLayer)
  const [two, more] = [session.at('crane/index:two'), session.at('crane/index:more')]
  await crane('index', 'append', two, '--manifest', more, '--tag', session.at('crane/index:three'))
  const three = await readWhole(session.target, 'crane/index', 'three')
  expect(three.body.manifests).toHaveLength(3)
  const one = ['--platform', 'linux/amd64', '--tag', session.at('crane/index:one')]
  await crane('index', 'filter', two, ...one)
  const { body } = await readWhole(session.target, 'crane/index', 'one')
  expect(body.manifests).toHaveLength(1)
})

test('crane ls and catalog list tags and repositories', async () => {
  const { emptyLayer } = session.images
  for (const tag of ['b', 'a', 'c']) await putLayout(session.target, 'crane/ls', tag, emptyLayer)
  expect((await crane('ls', session.at('crane/ls'))).split('\n')).toEqual(['a', 'b', 'c'])
  expect((await crane('catalog', session.target.address)).split('\n')).toContain('crane/ls')
})

test('crane delete by digest removes the manifest and its tags', async () => {
  const { emptyLayer } = session.images
  await putLayout(session.target, 'crane/delete', 'v1', emptyLayer)
  await crane('delete', `${session.at('crane/delete')}@${emptyLayer.digest}`)
  expect(await listTags(session.target, 'crane/delete')).toEqual([])
  const output = await session.runFailing('crane', 'digest', session.at('crane/delete:v1'))
  expect(output).toMatch(/404|MANIFEST_UNKNOWN/)
})

test('crane delete by tag removes the tag alone', async (context) => {
  if (session.target.process === undefined) context.skip('a foreign registry may not do this')
  const { emptyLayer } = session.images
  await putLayout(session.target, 'crane/untag', 'v1', emptyLayer)
  await putLayout(session.target, 'crane/untag', 'v2', emptyLayer)
  await crane('delete', session.at('crane/untag:v1'))
  expect(await listTags(session.target, 'crane/untag')).toEqual(['v2'])
  const manifest = `/v2/crane/untag/manifests/${emptyLayer.digest}`
  expect(await statusOf(session.target, manifest)).toBe(200)
})
