/**
 * @module A registry that the log has left behind takes what it lacks from a peer, over the way that peers have, and
 * serves again without a restart of its own.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EtcdLog } from '../../src/metadata/log/etcd/log.ts'
import type { LogEntry } from '../../src/metadata/log/port.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'

needEtcd()

let etcd: EtcdCluster
let mesh: MeshRegistries
const cluster = 'tail'

beforeAll(async () => {
  if (etcdVersion === undefined) return
  etcd = await EtcdCluster.start({ members: 1 })
  mesh = await MeshRegistries.start({ endpoints: etcd.endpoints, cluster }, 2)
})
afterAll(async () => {
  await mesh?.stop()
  await etcd?.stop()
})

/** Lets the log forget all but its last entry. */
async function forgetAll(): Promise<number> {
  const log = new EtcdLog({ endpoints: etcd.endpoints, cluster })
  const after = await log.head()
  const last = new Promise<LogEntry>((resolve) => {
    const stop = log.follow(
      { index: 0, token: '' },
      {
        onEntries: (entries) => {
          const found = entries.find(({ index }) => index === after)
          if (found === undefined) return
          stop()
          resolve(found)
        },
        onCut: () => undefined,
      },
    )
  })
  await log.truncate(await last)
  await log.close()
  return after
}

test('what was pushed meanwhile is there, with no fault', async () => {
  await mesh.handTailsOn({ endpoints: etcd.endpoints, cluster })
  const [one] = mesh.registries
  await one!.client.pushBlob('team/app', Buffer.from('before'))
  const before = mesh.set(1).visible
  let pushed = ''
  let head = 0
  await mesh.restart(2, async () => {
    for (let turn = 0; turn < 20; turn += 1) {
      const { digest } = await one!.client.pushBlob('team/app', Buffer.from(`blob ${turn}`))
      pushed = digest
    }
    head = await forgetAll()
  })
  expect(head).toBeGreaterThan(before + 20)
  const pulled = await mesh.registries[1]!.client.get(`/v2/team/app/blobs/${pushed}`)
  expect([pulled.status, pulled.text]).toEqual([200, 'blob 19'])
  expect(mesh.faults).toEqual([])
  expect(mesh.peerFaults).toEqual([])
})
