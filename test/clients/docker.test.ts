/**
 * @module `docker` against the registry, through a private `dockerd` (own folders and socket, vfs,
 * no bridge, no iptables): load, push, pull, save, manifest. No container is run.
 */

import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Layout, MEDIA_TYPES } from '../support/random-image.ts'
import { type Daemon, startDaemon } from './support/daemon.ts'
import { readDockerArchive, writeDockerArchive } from './support/docker-archive.ts'
import { clientSession } from './support/session.ts'
import { need, obstacleTo, skipLoudly } from './support/tools.ts'
import {
  deleteManifest,
  listTags,
  putLayout,
  readManifest,
  readWhole,
  statusOf,
} from './support/wire.ts'

const TOOLS = ['docker', 'dockerd', 'containerd'] as const
/** The first Docker Engine that unpacks zstd layers. */
const ZSTD_SINCE = 23

const session = clientSession(...TOOLS)
let daemon: Daemon | undefined
const { own } = session
const onSocket = (args: readonly string[]) => ['--host', `unix://${own('docker.sock')}`, ...args]
const docker = async (...args: string[]) =>
  (await session.run('docker', ...onSocket(args))).stdout.trim()

/** The image id and the digests under which the daemon knows the image in `repository`. */
const local = async (reference: string) => {
  const [image] = JSON.parse(await docker('image', 'inspect', reference)) as [
    { readonly Id: string; readonly RepoDigests: readonly string[] },
  ]
  return { id: image.Id, digests: image.RepoDigests }
}

const removeAll = async () => {
  const ids = (await docker('images', '--all', '--quiet')).split('\n').filter((id) => id !== '')
  if (ids.length > 0) await docker('rmi', '--force', ...new Set(ids))
}

beforeAll(async () => {
  if (TOOLS.some(obstacleTo)) return
  // Newer engines keep images in containerd, which test/clients/containerd.test.ts covers.
  await writeFile(own('daemon.json'), '{"features":{"containerd-snapshotter":false}}')
  const folders = ['--data-root', own('data'), '--exec-root', own('exec'), '--pidfile', own('pid')]
  const network = ['--bridge', 'none', '--iptables=false', '--ip6tables=false']
  const rest = ['--config-file', own('daemon.json'), '--storage-driver', 'vfs']
  const args = onSocket([...folders, ...network, ...rest])
  daemon = await startDaemon(session, 'dockerd', args, ['docker', ...onSocket(['version'])])
})
afterAll(() => daemon?.stop())

describe('docker push and pull', () => {
  const thereAndBack = async (name: string, layout: Layout) => {
    const reference = session.at(`docker/${name}:v1`)
    const archive = await writeDockerArchive(session, layout, reference)
    await docker('load', '--input', archive)
    const { id } = await local(reference)

    const pushed = /digest: (sha256:[0-9a-f]{64})/.exec(await docker('push', reference))?.[1]
    const stored = await readWhole(session.target, `docker/${name}`, 'v1')
    expect(stored.digest).toBe(pushed)
    expect(stored.body.config?.digest).toBe(id)

    await removeAll()
    await docker('pull', '--quiet', reference)
    const digests = [`${session.at(`docker/${name}`)}@${stored.digest}`]
    expect(await local(reference)).toEqual({ id, digests })
    if (layout.layers.length === 0) return // docker save: "empty export - not implemented"
    const back = await readDockerArchive(session, await save(name, reference))
    expect(back.diffIds).toEqual(layout.layers.map((layer) => layer.diffId))
  }
  const save = async (name: string, reference: string) => {
    await docker('save', '--output', own(`${name}-back.tar`), reference)
    return own(`${name}-back.tar`)
  }

  test('move a multi-layer image there and back, digests equal on both ends', () =>
    thereAndBack('multi-layer', session.images.multiLayer))

  test('move an image with an empty layer there and back', () =>
    thereAndBack('empty-layer', session.images.emptyLayer))

  test('move an image without layers there and back', () =>
    thereAndBack('no-layers', session.images.noLayers))
})

describe('docker pull', () => {
  test('takes an OCI image by tag and by digest', async () => {
    const { multiLayer, emptyLayer } = session.images
    const name = session.at('docker/oci')
    await putLayout(session.target, 'docker/oci', 'large', multiLayer)
    await putLayout(session.target, 'docker/oci', 'small', emptyLayer)
    await removeAll()
    await docker('pull', '--quiet', `${name}:large`)
    expect((await local(`${name}:large`)).digests).toEqual([`${name}@${multiLayer.digest}`])
    await docker('pull', '--quiet', `${name}:small`)
    const byTag = await local(`${name}:small`)
    await removeAll()
    await docker('pull', '--quiet', `${name}@${emptyLayer.digest}`)
    expect(await local(`${name}@${emptyLayer.digest}`)).toEqual(byTag)
  })

  test('takes the image of its own platform from an index', async () => {
    const { multiArch } = session.images
    await putLayout(session.target, 'docker/index', 'v1', multiArch)
    await docker('pull', '--quiet', session.at('docker/index:v1'))
    const { body } = await readManifest(session.target, 'docker/index', 'v1')
    const digest = body.manifests?.[0]?.digest ?? ''
    const child = await readManifest(session.target, 'docker/index', digest)
    expect((await local(session.at('docker/index:v1'))).id).toBe(child.body.config?.digest)
  })

  test('unpacks zstd layers', async (context) => {
    need(context, 'zstd')
    const version = await docker('version', '--format', '{{.Server.Version}}')
    if (Number.parseInt(version, 10) < ZSTD_SINCE) {
      skipLoudly(context, `Docker Engine ${version} cannot unpack zstd (${ZSTD_SINCE} can)`)
    }
    await putLayout(session.target, 'docker/zstd', 'v1', session.images.zstd!)
    await docker('pull', '--quiet', session.at('docker/zstd:v1'))
  })

  test('is told that a deleted image is not there', async () => {
    const { emptyLayer } = session.images
    await putLayout(session.target, 'docker/delete', 'v1', emptyLayer)
    expect(await listTags(session.target, 'docker/delete')).toEqual(['v1'])
    await deleteManifest(session.target, 'docker/delete', emptyLayer.digest)
    expect(await listTags(session.target, 'docker/delete')).toEqual([])
    expect(await statusOf(session.target, '/v2/docker/delete/manifests/v1')).toBe(404)
    const pull = onSocket(['pull', session.at('docker/delete:v1')])
    expect(await session.runFailing('docker', ...pull)).toMatch(/not found|manifest unknown/)
  })
})

test('docker manifest push makes an index of two pushed images', async () => {
  for (const [tag, layout] of [
    ['one', session.images.emptyLayer],
    ['two', session.images.noLayers],
  ] as const) {
    const reference = session.at(`docker/list:${tag}`)
    await docker('load', '--input', await writeDockerArchive(session, layout, reference))
    await docker('push', '--quiet', reference)
  }
  const list = session.at('docker/list:both')
  const [one, two] = [session.at('docker/list:one'), session.at('docker/list:two')]
  await docker('manifest', 'create', '--insecure', list, one, two)
  await docker('manifest', 'annotate', '--arch', 'riscv64', list, two)
  const pushed = await docker('manifest', 'push', '--insecure', '--purge', list)
  const stored = await readWhole(session.target, 'docker/list', 'both')
  expect(pushed).toContain(stored.digest)
  expect(stored.body.manifests).toHaveLength(2)
  expect(stored.mediaType).not.toBe(MEDIA_TYPES.manifest)
})
