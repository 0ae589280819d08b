/**
 * @module Where the files of blobs are on the nodes of a mesh, for tests that look behind the front doors.
 */
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { blobPaths } from '../../../src/mesh/blobs/protocol.ts'
import type { InProcessRegistry } from '../in-process.ts'
import type { RegistryClient } from '../registry-client.ts'
import type { MeshRegistries } from './mesh-registries.ts'

/** Nodes are numbered from 0 here. */
export function clientOf(mesh: MeshRegistries, at: number): RegistryClient {
  return mesh.registries[at]!.client
}

/** Nodes that have the blob's file. */
export async function holders(mesh: MeshRegistries, digest: string): Promise<number[]> {
  const found = await Promise.all(mesh.registries.map((it) => hasFile(it, digest)))
  return found.flatMap((isThere, at) => (isThere ? [at] : []))
}

/** A node without the file. */
export async function stranger(mesh: MeshRegistries, digest: string): Promise<number> {
  const there = await holders(mesh, digest)
  return mesh.registries.findIndex((_, at) => !there.includes(at))
}

export function pathOf({ folder }: Pick<InProcessRegistry, 'folder'>, digest: string): string {
  const [algorithm, hex] = digest.split(':') as [string, string]
  return join(folder, 'blobs', algorithm, hex.slice(0, 2), hex)
}

export function hasFile(registry: InProcessRegistry, digest: string): Promise<boolean> {
  return stat(pathOf(registry, digest)).then(
    () => true,
    () => false,
  )
}

export async function writeBelow(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, bytes)
}

/** Names of the files that collections have put aside. */
export async function trashed({ folder }: InProcessRegistry): Promise<string[]> {
  const found = await readdir(join(folder, 'trash'), { recursive: true, withFileTypes: true })
  return found.filter((entry) => entry.isFile()).map(({ name }) => name)
}

export function pull(mesh: MeshRegistries, at: number, repository: string, digest: string) {
  return clientOf(mesh, at).get(`/v2/${repository}/blobs/${digest}`)
}

/** Members that are asked for bytes from now on, one entry a question. */
export function countReads(mesh: MeshRegistries): number[] {
  const asked: number[] = []
  for (const member of mesh.registries.keys()) {
    const peers = mesh.peers(member + 1)
    const route = peers.routes.get(blobPaths.bytes)!
    peers.dropRoute(blobPaths.bytes)
    peers.addRoute(blobPaths.bytes, {
      ...route,
      answer: (call) => {
        asked.push(member)
        return route.answer(call)
      },
    })
  }
  return asked
}

/** The member takes no files of its peers from now on; what is returned undoes that. */
export function takeNothing(mesh: MeshRegistries, member: number): (() => void)[] {
  const peers = mesh.peers(member)
  return [blobPaths.keep, blobPaths.arrive].map((path) => {
    const route = peers.routes.get(path)!
    peers.dropRoute(path)
    return () => peers.addRoute(path, route)
  })
}

/** Files that members are sent from now on by one of these paths: the member of each. */
export function countFiles(mesh: MeshRegistries, path: 'keep' | 'arrive'): number[] {
  const sent: number[] = []
  for (const at of mesh.registries.keys()) {
    const peers = mesh.peers(at + 1)
    const route = peers.routes.get(blobPaths[path])!
    peers.dropRoute(blobPaths[path])
    peers.addRoute(blobPaths[path], {
      ...route,
      answer: (call) => {
        sent.push(at)
        return route.answer(call)
      },
    })
  }
  return sent
}
