/**
 * @module `containerd` against the registry, through `ctr` and a private daemon (own folders and
 * socket): import, push, pull, fetch. No container is run.
 */

import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blobPath, type Descriptor, type Layout } from '../support/random-image.ts'
import { type Daemon, startDaemon } from './support/daemon.ts'
import { sha256 } from './support/layout.ts'
import { clientSession } from './support/session.ts'
import { need, obstacleTo } from './support/tools.ts'
import { deleteManifest, listTags, putLayout, readManifest, readWhole } from './support/wire.ts'

const TOOLS = ['ctr', 'containerd'] as const
const PULL = ['images', 'pull', '--plain-http', '--snapshotter', 'native']

const session = clientSession(...TOOLS)
let daemon: Daemon | undefined
const { own } = session
const onSocket = (args: readonly string[]) => ['--address', own('containerd.sock'), ...args]
const ctr = async (...args: string[]) => (await session.run('ctr', ...onSocket(args))).stdout.trim()

/** Digest of an image as containerd lists it. */
const local = async (reference: string) => {
  const list = await ctr('images', 'ls', `name==${reference}`)
  return /sha256:[0-9a-f]{64}/.exec(list)?.[0]
}

/** Hashes the files in which containerd keeps these blobs. */
const expectKept = async (blobs: readonly Descriptor[]) => {
  const content = own('root/io.containerd.content.v1.content')
  for (const { digest } of blobs) {
    expect(`sha256:${await sha256(blobPath(content, digest))}`).toBe(digest)
  }
}

const removeAll = async () => {
  const names = (await ctr('images', 'ls', '--quiet')).split('\n').filter((name) => name !== '')
  if (names.length > 0) await ctr('images', 'rm', '--sync', ...names)
  expect(await ctr('content', 'ls', '--quiet')).toBe('')
}

beforeAll(async () => {
  if (TOOLS.some(obstacleTo)) return
  const config = [
    'version = 2',
    `root = "${own('root')}"`,
    `state = "${own('state')}"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    `grpc = { address = "${own('containerd.sock')}" }`,
    `ttrpc = { address = "${own('containerd.sock.ttrpc')}" }`,
  ]
  await writeFile(own('config.toml'), config.join('\n'))
  const ready = ['ctr', ...onSocket(['version'])] as const
  daemon = await startDaemon(session, 'containerd', ['--config', own('config.toml')], [...ready])
})
afterAll(() => daemon?.stop())

describe('ctr images push and pull', () => {
  const thereAndBack = async (name: string, layout: Layout) => {
    const archive = own(`${name}.tar`)
    const reference = session.at(`containerd/${name}:latest`)
    await session.run('tar', '-C', layout.folder, '-cf', archive, '.')
    const base = ['--base-name', session.at(`containerd/${name}`)]
    await ctr('images', 'import', '--all-platforms', '--no-unpack', ...base, archive)
    expect(await local(reference)).toBe(layout.digest)

    await ctr('images', 'push', '--plain-http', reference)
    const stored = await readWhole(session.target, `containerd/${name}`, 'latest')
    expect(stored.digest).toBe(layout.digest)

    await removeAll()
    await ctr(...PULL, reference)
    expect(await local(reference)).toBe(layout.digest)
  }

  test('move a multi-layer image there and back byte for byte', async () => {
    await thereAndBack('multi-layer', session.images.multiLayer)
    await expectKept(session.images.multiLayer.blobs)
  })

  test('move an image with an empty layer there and back byte for byte', async () => {
    await thereAndBack('empty-layer', session.images.emptyLayer)
    await expectKept(session.images.emptyLayer.blobs)
  })

  test('move an image without layers there and back byte for byte', async () => {
    await thereAndBack('no-layers', session.images.noLayers)
    await expectKept(session.images.noLayers.blobs)
  })

  test('move zstd layers there and back byte for byte', async (context) => {
    need(context, 'zstd')
    await thereAndBack('zstd', session.images.zstd!)
    await expectKept(session.images.zstd!.blobs)
  })

  test('move an index of two platforms there and back, pulling this platform alone', async () => {
    await thereAndBack('multi-arch', session.images.multiArch)
    const name = 'containerd/multi-arch'
    const { body } = await readManifest(session.target, name, 'latest')
    const child = await readManifest(session.target, name, body.manifests?.[0]?.digest ?? '')
    await expectKept([...(child.body.layers ?? []), child.body.config!])
  })
})

test('ctr content fetch brings every platform of an index byte for byte', async () => {
  const { multiArch } = session.images
  await putLayout(session.target, 'containerd/fetch', 'v1', multiArch)
  await removeAll()
  const reference = session.at('containerd/fetch:v1')
  await ctr('content', 'fetch', '--plain-http', '--all-platforms', reference)
  await expectKept(multiArch.blobs)
})

test('ctr content fetch brings an artifact with a subject byte for byte', async () => {
  const { artifact } = session.images
  await putLayout(session.target, 'containerd/artifact', 'v1', artifact)
  await ctr('content', 'fetch', '--plain-http', session.at('containerd/artifact:v1'))
  await expectKept(artifact.blobs)
})

test('a deleted image is in no listing and can be pulled no more', async () => {
  const { emptyLayer } = session.images
  await putLayout(session.target, 'containerd/delete', 'v1', emptyLayer)
  expect(await listTags(session.target, 'containerd/delete')).toEqual(['v1'])
  await deleteManifest(session.target, 'containerd/delete', emptyLayer.digest)
  expect(await listTags(session.target, 'containerd/delete')).toEqual([])
  const pull = onSocket([...PULL, session.at('containerd/delete:v1')])
  expect(await session.runFailing('ctr', ...pull)).toMatch(/not found/)
})
