/**
 * @module `buildah` against the registry: builds images from this machine's files, pushes and pulls
 * them, with a private image store. No RUN step: the tests need no container support.
 */

import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { blobPath, type Layout } from '../support/random-image.ts'
import { clientSession } from './support/session.ts'
import { deleteManifest, listTags, putLayout, readManifest, readWhole } from './support/wire.ts'

const PLAIN = '--tls-verify=false'

const session = clientSession('buildah')
const { own } = session
const arguments_ = (args: readonly string[]) => [
  ...['--root', own('root'), '--runroot', own('run'), '--storage-driver', 'vfs'],
  ...args,
]
const buildah = async (...args: string[]) =>
  (await session.run('buildah', ...arguments_(args))).stdout.trim()

const imageId = async (name: string) =>
  `sha256:${await buildah('inspect', '--type', 'image', '--format', '{{.FromImageID}}', name)}`

/** Builds `name` on top of `base`, unpacking one layer of a layout of ours into it. */
const build = async (name: string, base: string, layout: Layout, layer: number, format = 'oci') => {
  const container = await buildah('from', '--pull-never', base)
  const archive = blobPath(layout.folder, layout.layers[layer]?.digest ?? '')
  await buildah('add', '-q', container, archive, '/')
  await buildah('config', '--cmd', '/bin/true', '--label', `name=${name}`, container)
  await buildah('commit', '-q', '--format', format, container, name)
  await buildah('rm', container)
}

/** Pushes a local image, reads it back whole, pulls it again; returns what the registry holds. */
const pushAndPull = async (name: string, repository: string, ...options: string[]) => {
  const reference = session.at(`${repository}:v1`)
  const id = await imageId(name)
  const digestFile = ['--digestfile', own('digest')]
  await buildah('push', '-q', PLAIN, ...digestFile, ...options, name, `docker://${reference}`)
  const stored = await readWhole(session.target, repository, 'v1')
  expect(await readFile(own('digest'), 'utf8')).toBe(stored.digest)
  await buildah('rmi', '--all', '--force')
  await buildah('pull', '-q', PLAIN, reference)
  expect(stored.body.config?.digest).toBe(await imageId(reference))
  return { ...stored, keptId: (await imageId(reference)) === id }
}

test('a built image of two layers above 100 MiB comes back with the same id', async () => {
  await build('one', 'scratch', session.images.multiLayer, 0)
  await build('two', 'localhost/one', session.images.multiLayer, 1)
  const stored = await pushAndPull('two', 'buildah/multi-layer')
  expect(stored.keptId).toBe(true)
  expect(stored.body.layers).toHaveLength(2)
})

test('a built image in Docker format comes back with the same id', async () => {
  await build('docker', 'scratch', session.images.multiLayer, 2, 'docker')
  const stored = await pushAndPull('docker', 'buildah/docker')
  expect(stored.keptId).toBe(true)
  expect(stored.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json')
})

test('a built image pushed with zstd compression comes back with the same id', async () => {
  // Of this layer the registry has no gzip form that buildah could use instead.
  await build('zstd', 'scratch', session.images.multiArch, 1)
  const stored = await pushAndPull('zstd', 'buildah/zstd', '--compression-format', 'zstd')
  expect(stored.keptId).toBe(true)
  expect(stored.body.layers?.[0]?.mediaType).toMatch(/zstd$/)
})

test('an image with an empty layer is pulled, committed on top of and pushed', async () => {
  await putLayout(session.target, 'buildah/base', 'v1', session.images.emptyLayer)
  await buildah('pull', '-q', PLAIN, session.at('buildah/base:v1'))
  await build('on-top', session.at('buildah/base:v1'), session.images.multiLayer, 1)
  const stored = await pushAndPull('on-top', 'buildah/on-top')
  expect(stored.keptId).toBe(true)
  expect(stored.body.layers).toHaveLength(3)
})

test('buildah manifest push makes an index out of two built images', async () => {
  await build('this', 'scratch', session.images.multiLayer, 2)
  await build('that', 'localhost/this', session.images.multiLayer, 1)
  await buildah('manifest', 'create', 'list')
  await buildah('manifest', 'add', 'list', 'localhost/this')
  await buildah('manifest', 'add', '--arch', 'riscv64', 'list', 'localhost/that')
  const to = `docker://${session.at('buildah/list:v1')}`
  await buildah('manifest', 'push', '--all', PLAIN, '--digestfile', own('digest'), 'list', to)
  const stored = await readWhole(session.target, 'buildah/list', 'v1')
  expect(await readFile(own('digest'), 'utf8')).toBe(stored.digest)
  expect(stored.body.manifests).toHaveLength(2)
  await buildah('rmi', '--all', '--force')
})

test('buildah pull takes the image of its own platform from an index', async () => {
  await putLayout(session.target, 'buildah/index', 'v1', session.images.multiArch)
  await buildah('pull', '-q', PLAIN, session.at('buildah/index:v1'))
  const { body } = await readManifest(session.target, 'buildah/index', 'v1')
  const digest = body.manifests?.[0]?.digest ?? ''
  const child = await readManifest(session.target, 'buildah/index', digest)
  expect(await imageId(session.at('buildah/index:v1'))).toBe(child.body.config?.digest)
})

test('a deleted image is in no listing and can be pulled no more', async () => {
  const { emptyLayer } = session.images
  await putLayout(session.target, 'buildah/delete', 'v1', emptyLayer)
  await deleteManifest(session.target, 'buildah/delete', emptyLayer.digest)
  expect(await listTags(session.target, 'buildah/delete')).toEqual([])
  const pull = arguments_(['pull', '-q', PLAIN, session.at('buildah/delete:v1')])
  expect(await session.runFailing('buildah', ...pull)).toMatch(/manifest unknown/)
})
