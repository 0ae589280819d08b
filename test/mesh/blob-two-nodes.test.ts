/**
 * @module A mesh of two nodes, one of which goes while the log is there: what goes on with the other one, and what the
 * first one has when it is back.
 */
import { randomBytes } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { digestOf } from '../../src/registry/hasher.ts'
import { mediaTypes } from '../../src/registry/media-type.ts'
import { until } from '../support/in-process.ts'
import { clientOf, hasFile, holders, pull } from '../support/mesh/blob-files.ts'
import { useEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries, type MeshRegistriesOptions } from '../support/mesh/mesh-registries.ts'
import { imageManifest } from '../support/registry-client.ts'

const etcd = useEtcd()
let meshes = 0

async function twoNodes(pushes: MeshRegistriesOptions['pushes']): Promise<MeshRegistries> {
  meshes += 1
  const log = { endpoints: etcd().endpoints, cluster: `two-${meshes}` }
  const own = await MeshRegistries.start(log, 2, { inlineLimit: 1_024, pushes: { ...pushes } })
  onTestFinished(() => own.stop())
  return own
}

async function metricOf(own: MeshRegistries, at: number, name: string): Promise<number> {
  const { text } = await clientOf(own, at).get('/metrics')
  const line = text.split('\n').find((it) => it.startsWith(`${name} `))
  return Number(line?.slice(name.length + 1))
}

const degraded = 'fastregistry_mesh_degraded_writes_total'
const placed = (outcome: string) => `fastregistry_mesh_placements_total{outcome="${outcome}"}`

describe('one of two nodes is gone', () => {
  test('layers are refused for now; what is in the log goes on, and what was there is pulled', async () => {
    const own = await twoNodes({})
    const client = clientOf(own, 0)
    const before = randomBytes(50_000)
    const layer = await client.pushBlob('team/two', before)
    await own.end(2)
    const config = await client.pushBlob('team/two', '{}')
    const manifest = imageManifest({ ...config, mediaType: 'application/x.config' }, [layer], {
      mediaType: mediaTypes.ociManifest,
    })
    expect((await client.putManifest('team/two', 'now', manifest)).status).toBe(201)
    expect((await client.get('/v2/team/two/manifests/now')).status).toBe(200)
    expect((await client.get('/v2/team/two/tags/list')).json).toMatchObject({ tags: ['now'] })
    expect((await pull(own, 0, 'team/two', layer.digest)).body.equals(before)).toBe(true)
    const next = randomBytes(60_000)
    const digest = digestOf('sha256', next)
    const location = await client.open('team/two')
    expect((await client.request('PATCH', location, { body: next })).status).toBe(202)
    const refused = await client.request('PUT', `${location}?digest=${digest}`)
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '5'])
    expect(refused.text).toContain('"outcome":"not done"')
    // The session stands where it stood.
    const there = await client.get(location)
    expect([there.status, there.headers['range']]).toEqual([204, '0-59999'])
    expect(await holders(own, digest)).toEqual([])
    expect(await metricOf(own, 0, placed('refused'))).toBe(1)
    expect(await metricOf(own, 0, placed('streamed'))).toBe(
      1 - (await metricOf(own, 0, placed('sent'))),
    )
  })

  test('where fewer copies will do layers are taken, and the other one has them when it is back', async () => {
    const own = await twoNodes({ degradedWrites: 'allow', shortMs: 1_000 })
    const client = clientOf(own, 0)
    const layers = [randomBytes(40_000), randomBytes(40_001)]
    let digests: string[] = []
    await own.restart(2, async () => {
      const pushed = layers.map((layer) => client.pushBlob('team/two', layer))
      digests = (await Promise.all(pushed)).map(({ digest }) => digest)
      for (const digest of digests) expect(await holders(own, digest)).toEqual([0])
      expect(await metricOf(own, 0, degraded)).toBe(2)
      const said = own.registries[0]!.logLines.filter((it) => it.includes('fewer copies'))
      expect(said).toHaveLength(1)
    })
    for (const digest of digests) await until(() => hasFile(own.registries[1]!, digest))
    const whole = await client.pushBlob('team/two', randomBytes(40_002))
    expect(await holders(own, whole.digest)).toEqual([0, 1])
    expect(await metricOf(own, 0, degraded)).toBe(2)
  })
})
