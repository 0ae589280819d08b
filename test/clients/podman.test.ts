/**
 * @module `podman` against the registry: load, push, pull, manifest, search, with a private image
 * store. Nothing is run: the tests need no container support in the kernel.
 */

import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { HERE, type Layout } from '../support/random-image.ts'
import { clientSession } from './support/session.ts'
import { need } from './support/tools.ts'
import {
  deleteManifest,
  listTags,
  putLayout,
  readManifest,
  readWhole,
  statusOf,
} from './support/wire.ts'

const PLAIN = '--tls-verify=false'

const session = clientSession('podman')
const { own } = session
const arguments_ = (args: readonly string[]) => [
  ...['--root', own('root'), '--runroot', own('run'), '--tmpdir', own('tmp')],
  ...['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none'],
  ...args,
]
const podman = async (...args: string[]) =>
  (await session.run('podman', ...arguments_(args))).stdout.trim()

/** The digest and the image id that podman holds under a name. */
const local = async (name: string) => {
  const [digest, id] = (await podman('inspect', '--format', '{{.Digest}} {{.Id}}', name)).split(' ')
  return { digest, configDigest: `sha256:${id}` }
}

describe('podman push and pull', () => {
  const thereAndBack = async (name: string, layout: Layout) => {
    const archive = own(`${name}.tar`)
    const reference = session.at(`podman/${name}:v1`)
    await session.run('tar', '-C', layout.folder, '-cf', archive, '.')
    await podman('load', '-q', '-i', archive)
    await podman('tag', 'localhost/latest:latest', reference)
    const { configDigest } = await local(reference)

    await podman('push', '-q', PLAIN, '--digestfile', own('digest'), reference)
    const stored = await readWhole(session.target, `podman/${name}`, 'v1')
    expect(await readFile(own('digest'), 'utf8')).toBe(stored.digest)
    expect(stored.body.config?.digest).toBe(configDigest)

    await podman('rmi', '--all', '--force')
    await podman('pull', '-q', PLAIN, reference)
    expect(await local(reference)).toEqual({ digest: stored.digest, configDigest })
  }

  test('move a multi-layer image there and back, digests equal on both ends', () =>
    thereAndBack('multi-layer', session.images.multiLayer))

  test('move an image with an empty layer there and back', () =>
    thereAndBack('empty-layer', session.images.emptyLayer))

  test('move an image without layers there and back', () =>
    thereAndBack('no-layers', session.images.noLayers))

  test('move zstd layers there and back', async (context) => {
    need(context, 'zstd')
    await thereAndBack('zstd', session.images.zstd!)
  })
})

test('podman pull takes the image of its own platform from an index', async () => {
  const { multiArch } = session.images
  await putLayout(session.target, 'podman/index', 'v1', multiArch)
  await podman('pull', '-q', PLAIN, session.at('podman/index:v1'))
  const { body } = await readManifest(session.target, 'podman/index', 'v1')
  const child = await readManifest(
    session.target,
    'podman/index',
    body.manifests?.[0]?.digest ?? '',
  )
  const pulled = await local(session.at('podman/index:v1'))
  expect(pulled.configDigest).toBe(child.body.config?.digest)
})

test('podman manifest push makes an index of images in the registry', async () => {
  const { multiArch } = session.images
  await putLayout(session.target, 'podman/parts', 'v1', multiArch)
  const list = 'localhost/made:latest'
  await podman('manifest', 'create', list)
  await podman('manifest', 'add', PLAIN, '--all', list, `docker://${session.at('podman/parts:v1')}`)
  const to = `docker://${session.at('podman/made:v1')}`
  await podman('manifest', 'push', '--all', PLAIN, '--digestfile', own('digest'), list, to)
  const stored = await readWhole(session.target, 'podman/made', 'v1')
  expect(await readFile(own('digest'), 'utf8')).toBe(stored.digest)
  expect(stored.body.manifests).toHaveLength(2)
  expect(stored.body.manifests).toMatchObject([{ platform: HERE }, {}])
})

test('podman search lists tags, and a deleted image can be pulled no more', async () => {
  const { emptyLayer } = session.images
  await putLayout(session.target, 'podman/delete', 'v1', emptyLayer)
  const name = session.at('podman/delete')
  const listed = await podman('search', PLAIN, '--list-tags', '--format', 'json', name)
  expect(JSON.parse(listed)).toEqual([{ Name: name, Tags: ['v1'] }])
  await deleteManifest(session.target, 'podman/delete', emptyLayer.digest)
  expect(await listTags(session.target, 'podman/delete')).toEqual([])
  expect(await statusOf(session.target, '/v2/podman/delete/manifests/v1')).toBe(404)
  const pull = arguments_(['pull', '-q', PLAIN, `${name}:v1`])
  expect(await session.runFailing('podman', ...pull)).toMatch(/manifest unknown/)
})
