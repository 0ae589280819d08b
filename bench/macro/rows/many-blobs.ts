/**
 * @module 100,000 different blobs of 128 KiB in random order, each read once, page cache warm. Both
 * servers read the same inodes: the blobs are pushed to ours, then docker-registry's folders are made
 * of hard links to the files, so that one page cache holds the bytes of both.
 */
import { linkSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { blobPath, blobPaths } from '../../../src/blobs/files/layout.ts'
import { type Digest, encodedOf, parseDigest } from '../../../src/registry/digest.ts'
import { unwrap } from '../../../src/registry/result.ts'
import { type Bench, measured, type Row, type RowResult } from '../bench.ts'
import { prepareClient, runClient } from '../client.ts'
import { availableBytes, warmFiles } from '../page-cache.ts'
import { seededDraw, shuffled } from '../random.ts'
import { requireRoom } from '../room.ts'
import type { BenchServer, ServerName } from '../server.ts'
import { findWrk, runWrk, wrkVersion } from '../wrk.ts'

const repository = 'bench/many'
const blobBytes = 128 * 1024
const seeds = 20_000_000

/** Longest run of one round, seconds; it ends when all blobs are read. */
const roundSecondsMax = 300

export const manyBlobsRow: Row = {
  id: 'many-blobs',
  title: '100,000 different blobs of 128 KiB, random order, each read once, warm',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const wanted = Math.round(100_000 * bench.options.scale)
    const fitting = Math.floor((availableBytes() * 0.7) / blobBytes)
    const count = Math.min(wanted, fitting)
    requireRoom(bench.folder, count * blobBytes)
    const notes = [`${count} blobs, the same files for both (hard links)`]
    if (count < wanted) notes.push(`memory does not hold the page cache of ${wanted} blobs`)
    const folders = { ours: bench.newFolder('ours'), peer: bench.newFolder('docker-registry') }
    const digests = await fill(bench, folders.ours, count)
    const names = bench.names(true).filter((it) => it === 'ours' || it === 'docker-registry')
    if (names.includes('docker-registry')) linkToPeer(folders, digests)
    const servers = new Map<ServerName, BenchServer>()
    for (const name of names) {
      servers.set(name, await bench.startFresh(name, name === 'ours' ? folders.ours : folders.peer))
    }
    warmFiles(digests.map((digest) => oursPath(folders.ours, digest)))
    const order = shuffled(digests, seededDraw(1))
    const { rounds } = bench.options
    try {
      const results = await bench.alternate(names, (name, round) => {
        // Each round takes its own share: over all rounds every blob is read once.
        const part = order.filter((_, index) => index % rounds === round)
        return readOnce(servers.get(name)!, part)
      })
      const client = findWrk() === undefined ? 'own client' : wrkVersion()
      const { id, title } = manyBlobsRow
      return { id, title, unit: 'requests/s', client, servers: results, notes }
    } finally {
      await Promise.all([...servers.values()].map((server) => server.stop()))
    }
  },
}

async function readOnce(server: BenchServer, digests: readonly Digest[]) {
  const { target } = server
  const paths = digests.map((digest) => `/v2/${repository}/blobs/${digest}`)
  const metrics = await measured(server, () =>
    findWrk() === undefined
      ? runClient({ kind: 'each-once', method: 'GET', target, paths, connections: 16 })
      : runWrk({ target, paths, order: 'each-once', connections: 16, seconds: roundSecondsMax }),
  )
  return { rate: metrics['requestsPerSecond']!, ...metrics }
}

async function fill(bench: Bench, folder: string, count: number): Promise<Digest[]> {
  const server = await bench.startFresh('ours', folder)
  try {
    const blobs = Array.from({ length: count }, (_, index) => ({
      seed: seeds + index,
      sizeBytes: blobBytes,
    }))
    const { target } = server
    const plan = { kind: 'push-blobs', target, connections: 64, repository, way: 'short' } as const
    const client = await prepareClient({ ...plan, blobs })
    const { digests, metrics } = await client.go()
    bench.say(`many-blobs: ${count} blobs pushed to ours in ${metrics['seconds']!.toFixed(0)} s`)
    return digests.map((digest) => unwrap(parseDigest(digest)))
  } finally {
    await server.stop()
  }
}

function oursPath(folder: string, digest: Digest): string {
  return blobPath(blobPaths(join(folder, 'storage')), digest)
}

/** The folders as the distribution registry writes them: bytes, and a link from the repository. */
function linkToPeer(
  folders: { readonly ours: string; readonly peer: string },
  digests: readonly Digest[],
): void {
  const root = join(folders.peer, 'data/docker/registry/v2')
  for (const digest of digests) {
    const encoded = encodedOf(digest)
    const blob = join(root, 'blobs/sha256', encoded.slice(0, 2), encoded)
    mkdirSync(blob, { recursive: true })
    linkSync(oursPath(folders.ours, digest), join(blob, 'data'))
    const layer = join(root, 'repositories', repository, '_layers/sha256', encoded)
    mkdirSync(layer, { recursive: true })
    writeFileSync(join(layer, 'link'), digest)
  }
}
