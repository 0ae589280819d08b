/**
 * @module How copies of blobs stand on the nodes of a mesh, as an operator sees it: who has one, what is to be done,
 * and a repair that does not wait for its hour.
 */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { standingPaths } from '../../src/mesh/standing/messages.ts'
import { until } from '../support/in-process.ts'
import { clientOf, hasFile, holders, pathOf, pull, stranger } from '../support/mesh/blob-files.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'

needEtcd()

let etcd: EtcdCluster
let mesh: MeshRegistries

beforeAll(async () => {
  if (etcdVersion === undefined) return
  etcd = await EtcdCluster.start()
  const log = { endpoints: etcd.endpoints, cluster: 'copies' }
  mesh = await MeshRegistries.start(log, 3, { inlineLimit: 1_024 })
})
afterAll(async () => {
  await mesh?.stop()
  await etcd?.stop()
})

interface Copies {
  readonly isRow: boolean
  readonly copies: readonly {
    readonly member: number
    readonly owner: boolean
    readonly reached: boolean
    readonly role?: string
    readonly bytes?: number
  }[]
}

async function copiesOf(at: number, digest: string): Promise<Copies> {
  const answer = await clientOf(mesh, at).get(`/admin/blobs/${digest}/copies`)
  expect(answer.status).toBe(200)
  return answer.json as Copies
}

/** Values of a metric of a node, by what is in its braces. */
async function metric(at: number, name: string): Promise<Record<string, number>> {
  const { text } = await clientOf(mesh, at).get('/metrics')
  const rows = [...text.matchAll(new RegExp(`^fastregistry_mesh_${name}(\\{.*\\})? (\\S+)$`, 'gm'))]
  return Object.fromEntries(rows.map(([, labels = '', value]) => [labels, Number(value)]))
}

test('the copies of a blob are what each node says that it has now', async () => {
  const { digest } = await clientOf(mesh, 0).pushBlob('team/seen', randomBytes(50_000))
  const there = await holders(mesh, digest)
  const stranger = [0, 1, 2].find((at) => !there.includes(at))!
  for (const at of [0, 1, 2]) {
    const { isRow, copies } = await copiesOf(at, digest)
    expect(isRow).toBe(false)
    expect(copies).toHaveLength(3)
    for (const { member, owner, reached, role, bytes } of copies) {
      const isThere = there.includes(member - 1)
      const said = isThere ? ['owner', 50_000] : [undefined, undefined]
      expect([owner, reached, role, bytes]).toEqual([isThere, true, ...said])
    }
  }
  await pull(mesh, stranger, 'team/seen', digest)
  const of = async () => {
    const { copies } = await copiesOf(there[0]!, digest)
    return copies.find(({ member }) => member === stranger + 1)
  }
  await until(async () => (await of())?.role === 'cache')
  const inline = await clientOf(mesh, 0).pushBlob('team/seen', randomBytes(100))
  expect(await copiesOf(1, inline.digest)).toMatchObject({ isRow: true, copies: [] })
  const none = `/admin/blobs/sha256:${'0'.repeat(64)}/copies`
  expect((await clientOf(mesh, 0).get(none)).status).toBe(404)
})

test('a repair that is asked for begins on all nodes, and metrics say what it did', async () => {
  const { digest } = await clientOf(mesh, 0).pushBlob('team/lost', randomBytes(70_000))
  const [gone, other] = (await holders(mesh, digest)) as [number, number]
  await rm(pathOf(mesh.registries[gone]!, digest))
  const before = (await metric(gone, 'repair_bytes_total'))['']!
  const sent = (await metric(other, 'peer_bytes_total'))['{direction="sent"}']!
  const begun = await clientOf(mesh, other).request('POST', '/admin/mesh/repair')
  expect([begun.status, begun.json]).toEqual([200, { members: [1, 2, 3] }])
  await until(() => hasFile(mesh.registries[gone]!, digest))
  await until(async () => (await metric(gone, 'under_replicated_blobs'))[''] === 0)
  expect((await metric(gone, 'repair_bytes_total'))['']! - before).toBe(70_000)
  expect((await metric(other, 'peer_bytes_total'))['{direction="sent"}']! - sent).toBe(70_000)
  const copies = await metric(gone, 'copies')
  expect(copies['{role="owned"}']).toBeGreaterThan(0)
  expect([copies['{role="lacking"}'], copies['{role="kept"}']]).toEqual([0, 0])
  expect(await metric(gone, 'pins')).toEqual({ '': 0 })
  // Members change: what was counted is of before.
  const members = mesh.peers(1).members
  onTestFinished(() => mesh.peers(gone + 1).setMembers(members))
  const joining = members.map((it) => ({ ...it, state: 'joining' as const }))
  mesh.peers(gone + 1).setMembers([members[gone]!, ...joining.filter((_, at) => at !== gone)])
  expect([await metric(gone, 'copies'), await metric(gone, 'under_replicated_blobs')]).toEqual([
    {},
    {},
  ])
})

test('what another node has alone is what no other disk has now', async () => {
  const { digest } = await clientOf(mesh, 0).pushBlob('team/alone', randomBytes(30_000))
  const [one, other] = (await holders(mesh, digest)) as [number, number]
  const only = async () => {
    const client = mesh.peers(other + 1).client(one + 1)
    const asked = client.open('POST', standingPaths.only)
    return new Promise<string>((resolve, reject) => {
      asked.on('error', reject)
      asked.on('response', (answer) => {
        let text = ''
        answer.on('data', (piece: Buffer) => {
          text += piece.toString()
        })
        answer.on('end', () => resolve(text))
      })
      asked.end('{}')
    })
  }
  expect(JSON.parse(await only())).toEqual({ blobs: 0, bytes: 0 })
  await rm(pathOf(mesh.registries[other]!, digest))
  expect(JSON.parse(await only())).toEqual({ blobs: 1, bytes: 30_000 })
})

interface Groups {
  readonly groups: readonly {
    readonly group: number
    readonly owners: readonly number[]
    readonly rows?: { readonly blobs: number; readonly bytes: number }
    readonly copies: { readonly blobs: number; readonly bytes: number }
    readonly lacking: { readonly blobs: number; readonly bytes: number }
  }[]
  readonly counted: readonly number[]
  readonly unknown: readonly number[]
  readonly next?: string
}

async function allPages(): Promise<Groups[]> {
  const pages: Groups[] = []
  let after: string | undefined
  do {
    pages.push(await groupsAt(1, `?limit=1000${after === undefined ? '' : `&after=${after}`}`))
    after = pages.at(-1)!.next
  } while (after !== undefined)
  return pages
}

async function groupsAt(at: number, query: string): Promise<Groups> {
  const answer = await clientOf(mesh, at).get(`/admin/mesh/groups${query}`)
  expect(answer.status).toBe(200)
  return answer.json as Groups
}

test('placement groups say who owns them, and what of them is there, page by page', async () => {
  const layer = randomBytes(70_000)
  const { digest } = await clientOf(mesh, 0).pushBlob('team/groups', layer)
  // A copy for pulls alone is none that counts.
  const third = await stranger(mesh, digest)
  expect((await pull(mesh, third, 'team/groups', digest)).body.equals(layer)).toBe(true)
  await until(() => hasFile(mesh.registries[third]!, digest))
  await clientOf(mesh, 0).request('POST', '/admin/mesh/repair')
  let pages: Groups[] = []
  await until(async () => {
    pages = await allPages()
    const all = pages.flatMap(({ groups }) => groups)
    const sum = (of: (group: Groups['groups'][number]) => number | undefined) =>
      all.reduce((so, it) => so + (of(it) ?? 0), 0)
    const [rows, copies] = [sum((it) => it.rows?.blobs), sum((it) => it.copies.blobs)]
    const bytes = [sum((it) => it.rows?.bytes), sum((it) => it.copies.bytes)]
    const isAll = rows > 0 && copies === 2 * rows && bytes[1] === 2 * bytes[0]!
    return isAll && sum((it) => it.lacking.blobs) === 0 && pages[0]!.unknown.length === 0
  })
  expect(pages.map(({ groups }) => groups.length)).toEqual([1000, 1000, 1000, 1000, 96])
  expect(pages.flatMap(({ groups }) => groups.map((it) => it.group))).toEqual(
    Array.from({ length: 4_096 }, (_, at) => at),
  )
  expect(pages[0]).toMatchObject({ counted: [1, 2, 3], unknown: [] })
  for (const { owners } of pages.flatMap(({ groups }) => groups)) {
    expect([new Set(owners).size, owners.every((it) => it >= 1 && it <= 3)]).toEqual([2, true])
  }
  expect((await groupsAt(1, '?after=4095')).groups).toEqual([])
  for (const query of ['?limit=0', '?limit=1001', '?after=-1', '?after=99999', '?more=1']) {
    expect((await clientOf(mesh, 0).get(`/admin/mesh/groups${query}`)).status, query).toBe(400)
  }
})

test('questions that are not understood to the last byte are refused', async () => {
  const client = mesh.peers(1).client(2)
  onTestFinished(() => expect(mesh.peerFaults).toEqual([]))
  for (const [path, body] of [
    [standingPaths.standing, '{"more":1}'],
    [standingPaths.repair, ''],
    [standingPaths.one, '{}'],
    [standingPaths.one, '{"digest":"sha256:x"}'],
    [standingPaths.only, '[]'],
    [standingPaths.groups, '{"from":0}'],
    [standingPaths.groups, '{"from":4096,"count":1}'],
    [standingPaths.groups, '{"from":0,"count":1001}'],
    [standingPaths.groups, '{"from":0,"count":0}'],
    [standingPaths.only, `{${' '.repeat(5_000)}}`],
  ] as const) {
    const asked = client.open('POST', path)
    const status = await new Promise<number | undefined>((resolve, reject) => {
      asked.on('error', reject)
      asked.on('response', (answer) => resolve(answer.resume().statusCode))
      asked.end(body)
    })
    expect([path, status === 400 || status === 413]).toEqual([path, true])
  }
})
