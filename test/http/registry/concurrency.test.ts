/** @module Many clients at once on one tag over real sockets: no error, no gap, one winner. */
import { expect, test } from 'vitest'
import { describeRegistry } from '../../support/in-process.ts'
import { expectStatus, imageManifest, sha256 } from '../../support/registry-client.ts'

describeRegistry('one tag', {}, (registry) => {
  async function makeManifests(count: number, label: string): Promise<string[]> {
    const config = await registry().client.pushBlob('app', '{}')
    return Array.from({ length: count }, (_, index) =>
      JSON.stringify(imageManifest(config, [], { annotations: { label: `${label} ${index}` } })),
    )
  }

  test('is never missing while 50 pushes move it', async () => {
    const { client } = registry()
    const manifests = await makeManifests(50, 'moved')
    const pushed = new Set(manifests.map(sha256))
    expectStatus(await client.putManifest('app', 'busy', manifests[0]!), 201, 'first push')
    const seen = new Set<string>()
    let isPushing = true
    const readers = Array.from({ length: 4 }, async () => {
      while (isPushing) {
        const answer = await client.get('/v2/app/manifests/busy')
        expect(answer.status).toBe(200)
        expect(sha256(answer.body)).toBe(answer.headers['docker-content-digest'])
        seen.add(sha256(answer.body))
      }
    })
    const pushes = manifests.map((text) => client.putManifest('app', 'busy', text))
    const answers = await Promise.all(pushes)
    isPushing = false
    await Promise.all(readers)
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201))
    for (const digest of seen) expect(pushed).toContain(digest)
    const last = await client.head('/v2/app/manifests/busy')
    expect(pushed).toContain(last.headers['docker-content-digest'])
  })

  test('is either there or not while pushes and deletes race, and its digests stay', async () => {
    const { client } = registry()
    const manifests = await makeManifests(20, 'raced')
    const answers = await Promise.all(
      manifests.flatMap((text) => [
        client.putManifest('app', 'raced', text),
        client.delete('/v2/app/manifests/raced'),
        client.get('/v2/app/manifests/raced'),
      ]),
    )
    const allowed = [[201], [202, 404], [200, 404]]
    for (const [index, { status }] of answers.entries()) {
      expect(allowed[index % 3]).toContain(status)
    }
    for (const text of manifests) {
      expect((await client.head(`/v2/app/manifests/${sha256(text)}`)).status).toBe(200)
    }
  })

  test('goes with its manifest even when it is pushed at the same time', async () => {
    const { client } = registry()
    const [text = ''] = await makeManifests(1, 'deleted')
    const path = `/v2/app/manifests/${sha256(text)}`
    for (let round = 0; round < 10; round += 1) {
      await client.putManifest('app', 'first', text)
      await Promise.all([
        client.delete(path),
        client.putManifest('app', 'second', text),
        client.putManifest('app', `third-${round}`, text),
      ])
      // Whatever came last: a tag never points at a manifest that is gone.
      const list = (await client.get('/v2/app/tags/list')).json as { tags: string[] }
      for (const tag of list.tags) {
        expect((await client.head(`/v2/app/manifests/${tag}`)).status, tag).toBe(200)
      }
    }
  })

  test('many tags of one push become visible together', async () => {
    const { client } = registry()
    const manifests = await makeManifests(10, 'together')
    let isPushing = true
    const reader = (async () => {
      while (isPushing) {
        const { tags } = (await client.get('/v2/app/tags/list')).json as { tags: string[] }
        expect(tags.filter((tag) => tag.startsWith('set-')).length % 5).toBe(0)
      }
    })()
    await Promise.all(
      manifests.map((text, index) => {
        const query = [0, 1, 2, 3, 4].map((it) => `tag=set-${index}-${it}`).join('&')
        return client.putManifest('app', `${sha256(text)}?${query}`, text)
      }),
    )
    isPushing = false
    await reader
  })

  test('a blob is not deleted under a manifest that is being pushed', async () => {
    const { client } = registry()
    for (let round = 0; round < 20; round += 1) {
      const config = await client.pushBlob('app', `config ${round}`)
      const text = JSON.stringify(imageManifest(config, []))
      const [push, removal] = await Promise.all([
        client.putManifest('app', 'held', text),
        client.delete(`/v2/app/blobs/${config.digest}`),
      ])
      const hasBlob = (await client.head(`/v2/app/blobs/${config.digest}`)).status === 200
      expect([push.status, removal.status, hasBlob]).toSatisfy(
        ([pushed, removed, kept]: [number, number, boolean]) =>
          pushed === 201 ? removed === 405 && kept : removed === 202 && !kept,
      )
    }
  })

  test('nothing of all this failed', () => {
    expect(registry().faults).toEqual([])
  })
})
