/**
 * @module Mirrors of three nodes: upstream is asked once for a blob, whichever nodes clients come to, and a node that
 * fetches for the others may die.
 */
import type { IncomingMessage } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { fillPath } from '../../src/mesh/fills.ts'
import { FaultyUpstream } from '../support/faulty-upstream.ts'
import { until } from '../support/in-process.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'
import { refusal, sha256, someBytes } from '../support/registry-client.ts'

needEtcd()

let etcd: EtcdCluster
let upstream: FaultyUpstream
let mesh: MeshRegistries
let meshes = 0

beforeAll(async () => {
  if (etcdVersion === undefined) return
  etcd = await EtcdCluster.start({ members: 1 })
  upstream = new FaultyUpstream()
  await upstream.start()
})
afterAll(async () => {
  await upstream?.stop()
  await etcd?.stop()
})

async function startMesh(): Promise<void> {
  meshes += 1
  const log = { endpoints: etcd.endpoints, cluster: `fills-${meshes}` }
  const mirrors = [{ name: 'hub', upstream: upstream.url }]
  mesh = await MeshRegistries.start(log, 3, { inlineLimit: 4_096, mirrors })
  await until(() => [1, 2, 3].every((member) => mesh.peers(member).links.open.length === 2))
}

const get = (at: number, digest: string) =>
  mesh.registries[at]!.client.get(`/v2/hub/library/app/blobs/${digest}`)

/** Holds upstream's answers back; the result lets them go. */
function hold(): () => void {
  let release = () => {}
  upstream.hold = new Promise((resolve) => {
    release = resolve
  })
  return () => {
    upstream.hold = undefined
    release()
  }
}

const blobGets = (digest: string) => upstream.count('GET', `/blobs/${digest}`)

afterEach(() => {
  if (upstream === undefined) return
  upstream.hold = undefined
  upstream.fault = undefined
  upstream.bytesPerSecond = 0
})

describe('one GET a digest', () => {
  beforeAll(async () => {
    if (etcdVersion !== undefined) await startMesh()
  })
  afterAll(async () => {
    await mesh?.stop()
    expect(mesh?.peerFaults ?? []).toEqual([])
  })

  test.each([900, 500_000])('a herd on all nodes, for blobs of %d bytes', async (size) => {
    const blobs = Array.from({ length: 6 }, (_, at) => someBytes(size, at + size))
    const digests = blobs.map((bytes) => upstream.addBlob('library/app', bytes))
    const release = hold()
    const pulls = digests.flatMap((digest) =>
      [0, 1, 2].flatMap((at) => Array.from({ length: 4 }, () => get(at, digest))),
    )
    await until(() => digests.every((digest) => blobGets(digest) > 0))
    // Those of the other nodes have come to their fillers by now, or ask them; no timer of theirs runs out.
    for (const at of [0, 1, 2]) await mesh.registries[at]!.client.get('/livez')
    release()
    const answers = await Promise.all(pulls)
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    for (const [at, answer] of answers.entries()) {
      expect(answer.body.equals(blobs[Math.floor(at / 12)]!)).toBe(true)
    }
    expect(digests.map(blobGets)).toEqual(digests.map(() => 1))
  })

  test('what upstream does not have is not there', async () => {
    const digest = sha256('none')
    for (const at of [0, 1, 2]) expect(refusal(await get(at, digest))).toBe('404 BLOB_UNKNOWN')
  })

  test.each([
    ['', 400],
    ['digest=sha256:00&repository=hub/library/app&ms=1000', 400],
    [`digest=${sha256('x')}&repository=hub/../x y&ms=1000`, 400],
    [`digest=${sha256('x')}&repository=hub/library/app&ms=0`, 400],
    [`digest=${sha256('x')}&repository=hub/library/app&ms=99999`, 400],
    [`digest=${sha256('x')}&repository=hub/library/app&ms=1000&more=1`, 400],
    [`digest=${sha256('x')}&repository=${'a'.repeat(600)}&ms=1000`, 400],
  ])('the question %j is refused', async (query, status) => {
    expect(await ask(1, 2, query.replaceAll(' ', '%20'))).toBe(status)
  })

  test('of the members one is the filler: the others refuse, and so nobody waits for two', async () => {
    const query = `digest=${upstream.addBlob('library/app', someBytes(50))}`
    const more = '&repository=hub/library/app&ms=5000'
    const statuses = [
      await ask(1, 2, query + more),
      await ask(1, 3, query + more),
      await ask(2, 1, query + more),
    ]
    expect(statuses.sort()).toEqual([200, 503, 503])
  })
})

async function ask(from: number, to: number, query: string): Promise<number> {
  const asked = mesh.peers(from).client(to).open('POST', `${fillPath}?${query}`)
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    asked.on('response', resolve).on('error', reject).end()
  })
  answer.resume()
  return answer.statusCode!
}

describe('a filler that dies', () => {
  afterEach(() => mesh?.stop())

  test('in the middle of a blob: the others go on from upstream, and their clients notice nothing', async () => {
    await startMesh()
    const bytes = someBytes(3_000_000, 77)
    const digest = upstream.addBlob('library/app', bytes)
    upstream.bytesPerSecond = 1_500_000
    const pulls = [0, 1, 2].map((at) => get(at, digest))
    await until(() => blobGets(digest) > 0)
    const filler = await fillerOf(digest)
    await mesh.cutOff(filler)
    upstream.bytesPerSecond = 0
    for (const answer of await Promise.all(pulls)) {
      expect([answer.status, answer.body.equals(bytes)]).toEqual([200, true])
    }
    expect(blobGets(digest)).toBeGreaterThan(1)
  })

  test('before it was asked: each asks upstream itself', async () => {
    await startMesh()
    const bytes = someBytes(100_000, 78)
    const digest = upstream.addBlob('library/app', bytes)
    const filler = await fillerOf(digest)
    await mesh.cutOff(filler)
    const other = [0, 1, 2].find((at) => at + 1 !== filler)!
    const answer = await get(other, digest)
    expect([answer.status, answer.body.equals(bytes)]).toEqual([200, true])
    expect(mesh.registries[other]!.faults).toEqual([])
  })
})

/** The member that does not refuse to fetch it. Asks for what upstream does not have, so that nothing is fetched. */
async function fillerOf(digest: string): Promise<number> {
  const query = `digest=${digest}&repository=none/app&ms=5000`
  for (const to of [1, 2, 3]) {
    if ((await ask(to === 1 ? 2 : 1, to, query)) !== 503) return to
  }
  throw new Error('no member is the filler')
}
