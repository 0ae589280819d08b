/**
 * @module The OCI conformance suite against three nodes behind a balancer without a memory: every request of a push
 * goes to another node. It is skipped loudly where the suite is not built (`test/conformance/setup.sh`).
 */
import { describe, expect, test } from 'vitest'
import { CLEAN, conformance, PASSES_MIN } from '../conformance/suite.ts'
import { ENGINES } from '../support/in-process.ts'
import { EtcdCluster, needEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'
import { RoundRobin } from '../support/mesh/round-robin.ts'

needEtcd()

describe.each(ENGINES)('three nodes on the %s engine', (engine) => {
  test('every case of the newest profile passes', async (context) => {
    const etcd = await EtcdCluster.start({ members: 1 })
    const log = { endpoints: etcd.endpoints, cluster: 'conformance' }
    const mesh = await MeshRegistries.start(log, 3, { engines: [engine], inlineLimit: 4_096 })
    const balancer = await RoundRobin.over(mesh.registries.map(({ port }) => port))
    try {
      const address = `127.0.0.1:${balancer.port}`
      const outcome = await conformance(context, { address }, {})
      expect(outcome).toMatchObject(CLEAN)
      expect(outcome.passed).toBeGreaterThanOrEqual(PASSES_MIN)
      expect(balancer.count).toBeGreaterThan(PASSES_MIN)
    } finally {
      await balancer.close()
      await mesh.stop()
      await etcd.stop()
    }
  }, 120_000)
})
