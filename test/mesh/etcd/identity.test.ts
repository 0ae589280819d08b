/**
 * @module Which log it is, who may use it, and what an etcd says that is full: one real member each.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { connectEtcd } from '../../../src/metadata/log/etcd/client.ts'
import type { EtcdTls } from '../../../src/metadata/log/etcd/connection.ts'
import { EtcdLog } from '../../../src/metadata/log/etcd/log.ts'
import type { EtcdReport } from '../../../src/metadata/log/etcd/report.ts'
import { WireWriter } from '../../../src/metadata/log/etcd/wire.ts'
import { Authority } from '../../support/certificates.ts'
import { EtcdCluster, needEtcd } from '../../support/mesh/etcd.ts'
import { followFrom } from '../../support/mesh/follow.ts'

needEtcd()

const ends: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function single(options: Parameters<typeof EtcdCluster.start>[0] = {}): Promise<EtcdCluster> {
  const etcd = await EtcdCluster.start({ members: 1, ...options })
  ends.push(() => etcd.stop())
  return etcd
}

function logOn(etcd: EtcdCluster, options: Partial<Parameters<EtcdCluster['log']>[0]> = {}) {
  const log = etcd.log({ cluster: 'test', ...options })
  ends.push(() => log.close())
  return log
}

/** Removes the key of the log, as an operator might. */
function remove(endpoint: string, key: string): Promise<void> {
  const connection = connectEtcd(endpoint)
  ends.push(() => connection.close())
  const request = new WireWriter().bytes(1, Buffer.from(key)).finish()
  return new Promise((resolve, reject) => {
    connection.call('/etcdserverpb.KV/DeleteRange', request, {
      onAnswer: () => resolve(),
      onFailure: ({ details }) => reject(new Error(details)),
    })
  })
}

test('a log that was removed and created again is another one, and refused', async () => {
  const etcd = await single()
  const reports: EtcdReport[] = []
  const log = logOn(etcd, { report: (report) => reports.push(report) })
  await log.create(Buffer.from('first'))
  const identity = await log.identity()
  const following = followFrom(log)
  await log.append(Buffer.from('second'))
  await following.until(2)

  await remove(etcd.endpoints[0]!, 'fastregistry/test/log/0')
  await expect(log.head()).rejects.toMatchObject({ code: 'changed' })
  await expect(log.create(Buffer.from('again'))).rejects.toMatchObject({ code: 'changed' })

  const fresh = logOn(etcd)
  expect(await fresh.identity()).toBeUndefined()
  expect(await fresh.create(Buffer.from('other'))).toBe(true)
  expect(await fresh.identity()).not.toBe(identity)
  await fresh.append(Buffer.from('other 2'))
  await fresh.append(Buffer.from('other 3'))
  await expect(log.head()).rejects.toMatchObject({ code: 'changed' })
  await expect(log.truncate(following.place)).rejects.toMatchObject({ code: 'changed' })
  const expecting = logOn(etcd, { identity: identity! })
  await expect(expecting.append(Buffer.from('third'))).rejects.toMatchObject({ code: 'changed' })
  await expect(expecting.identity()).rejects.toMatchObject({ code: 'changed' })
  const other = followFrom(fresh)
  await other.until(3)
  expect(other.entries).toHaveLength(3)
  expect(following.entries).toHaveLength(2)
  expect(reports.map(({ kind }) => kind)).toContain('changed')
})

test('a key that an append made, and not `create`, is no log', async () => {
  const etcd = await single()
  const log = logOn(etcd)
  await log.create(Buffer.from('first'))
  await remove(etcd.endpoints[0]!, 'fastregistry/test/log/0')
  // Nothing in the answer to a put tells: a follower is told, and a question.
  await log.append(Buffer.from('void'))
  await expect(log.head()).rejects.toMatchObject({ code: 'changed' })
  await expect(log.append(Buffer.from('refused'))).rejects.toMatchObject({ code: 'changed' })
  await expect(logOn(etcd).identity()).rejects.toMatchObject({ code: 'changed' })
})

test('an etcd that was set up again with the same flags is another one', async () => {
  const first = await single()
  const log = logOn(first)
  await log.create(Buffer.from('first'))
  const identity = (await log.identity())!
  await log.close()
  await first.stop()
  const second = await single({ ports: first.members.map(({ ports }) => ports) })
  const again = logOn(second)
  await again.create(Buffer.from('first'))
  const other = (await again.identity())!
  // The reason for the name: all that etcd gives is the same.
  expect(other.split(':').slice(0, 3)).toEqual(identity.split(':').slice(0, 3))
  expect(other).not.toBe(identity)
  await expect(logOn(second, { identity }).head()).rejects.toMatchObject({ code: 'changed' })
})

test('an etcd above its quota says so, and still answers and truncates', async () => {
  const etcd = await single({ flags: ['--quota-backend-bytes', `${2 * 1024 * 1024}`] })
  const log = logOn(etcd)
  await log.create(Buffer.from('first'))
  const following = followFrom(log)
  // etcd looks at its size as of the last flush, and so notices a moment late.
  const fill = async () => {
    for (let at = 0; at < 500; at += 1) await log.append(Buffer.alloc(128 * 1024))
  }
  await expect(fill()).rejects.toMatchObject({ code: 'no-space' })
  const head = await log.head()
  await following.until(head)
  await log.truncate(following.place)
  const [row] = await log.status()
  expect(row?.status?.errors.join()).toContain('NOSPACE')
  expect(row?.status?.dbBytes).toBeGreaterThan(1024 * 1024)
})

test('TLS: the own authority and certificate are needed, and used', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fastregistry-etcd-tls-'))
  ends.push(() => rmSync(folder, { recursive: true }))
  const authority = new Authority(folder)
  const server = authority.issue('server', 'IP:127.0.0.1')
  const client = authority.issue('client', 'DNS:client')
  const etcd = await single({
    scheme: 'https',
    flags: [
      ...['--cert-file', server.cert, '--key-file', server.key],
      ...['--client-cert-auth', '--trusted-ca-file', authority.cert],
    ],
  })
  const read = (path: string) => readFileSync(path)
  const right: EtcdTls = {
    ca: read(authority.cert),
    cert: read(client.cert),
    key: read(client.key).toString(),
  }
  const log = logOn(etcd, { tls: right })
  expect(await log.create(Buffer.from('first'))).toBe(true)
  const following = followFrom(log)
  await log.append(Buffer.from('second'))
  await following.until(2)

  // A name that the certificate does not have; connected to, it is the same server.
  const named = etcd.endpoints[0]!.replace('127.0.0.1', 'localhost')
  const misnamed = logOn(etcd, { tls: right, endpoints: [named] })
  // `localhost` may be an address more, on which nothing listens.
  const code = expect.stringMatching(/^(denied|no-quorum)$/)
  await expect(misnamed.create(Buffer.from('x'))).rejects.toMatchObject({ code })

  const wrong: readonly (EtcdTls | undefined)[] = [
    { ca: read(authority.cert) },
    { cert: right.cert!, key: right.key! },
  ]
  for (const tls of wrong) {
    await expect(logOn(etcd, { tls: tls! }).head()).rejects.toMatchObject({ code: 'denied' })
  }
  // An address that the certificate does not have.
  const elsewhere = authority.issue('elsewhere', 'IP:127.0.0.2,DNS:etcd')
  const other = await single({
    scheme: 'https',
    flags: ['--cert-file', elsewhere.cert, '--key-file', elsewhere.key],
  })
  await expect(logOn(other, { tls: right }).head()).rejects.toMatchObject({ code: 'denied' })
  const plain = new EtcdLog({ endpoints: etcd.endpoints, cluster: 'test' })
  ends.push(() => plain.close())
  await expect(plain.create(Buffer.from('x'))).rejects.toMatchObject({ code: 'no-quorum' })
})
