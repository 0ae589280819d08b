/** @module Lists over real sockets: pages, Link and byte order of tags, catalog and referrers. */
import { expect, test } from 'vitest'
import { describeRegistry, type InProcessRegistry } from '../../support/in-process.ts'
import {
  type Answer,
  expectStatus,
  followPages,
  imageManifest,
  nextOf,
  refusal,
  sha256,
} from '../../support/registry-client.ts'

/** Byte order puts `-` before `.` before digits before capitals before `_` before small letters. */
const inByteOrder = ['0', '1.0', '9-a', 'A', 'B', 'Z', '_x', 'a', 'a-b', 'a.b', 'aB', 'a_b', 'b']

const tagsOf = (answer: Answer) => (answer.json as { tags: string[] }).tags
const namesOf = (answer: Answer) => (answer.json as { repositories: string[] }).repositories

/** Tags of any number on one manifest: `?tag=` takes 256 a request. */
async function pushTags({ client }: InProcessRegistry, repository: string, tags: string[]) {
  const config = await client.pushBlob(repository, '{}')
  const manifest = JSON.stringify(imageManifest(config, []))
  for (let start = 0; start < tags.length; start += 250) {
    const query = tags.slice(start, start + 250).map((tag) => `tag=${tag}`)
    const reference = `${sha256(manifest)}?${query.join('&')}`
    expectStatus(await client.putManifest(repository, reference, manifest), 201, 'tagging')
  }
}

describeRegistry('tags/list', {}, (registry) => {
  const path = '/v2/team/app/tags/list'

  test('lists in byte order, whatever the order of the pushes', async () => {
    await pushTags(registry(), 'team/app', [...inByteOrder].reverse())
    const answer = await registry().client.get(path)
    expect(answer.json).toEqual({ name: 'team/app', tags: inByteOrder })
    expect(answer.headers['content-type']).toBe('application/json')
    expect(nextOf(answer)).toBeUndefined()
  })

  test.each([1, 2, 5, 13, 14])('pages of %i follow Link to the end', async (n) => {
    const answers = await followPages(registry().client, `${path}?n=${n}`)
    expect(answers.flatMap(tagsOf)).toEqual(inByteOrder)
    expect(answers.map((answer) => tagsOf(answer).length).slice(0, -1)).toEqual(
      Array.from({ length: Math.ceil(inByteOrder.length / n) - 1 }, () => n),
    )
  })

  test('last is exclusive, need not exist, and works without n', async () => {
    const after = async (last: string) =>
      tagsOf(await registry().client.get(`${path}?last=${last}`))
    expect(await after('a')).toEqual(['a-b', 'a.b', 'aB', 'a_b', 'b'])
    expect(await after('C')).toEqual(['Z', '_x', 'a', 'a-b', 'a.b', 'aB', 'a_b', 'b'])
    expect(await after('zzz')).toEqual([])
    expect(await after('')).toEqual(inByteOrder)
    expect(await after('a%00')).toEqual(['a-b', 'a.b', 'aB', 'a_b', 'b'])
    expect(await after('%F4%8F%BF%BF')).toEqual([])
    expect(await after(encodeURIComponent('\uffff'.repeat(600)))).toEqual([])
  })

  test('n=0 is an empty list without Link', async () => {
    const answer = await registry().client.get(`${path}?n=0`)
    expect(tagsOf(answer)).toEqual([])
    expect(answer.headers['link']).toBeUndefined()
  })

  test.each(['-1', 'x', '1.5', '', '%20', '1e3', '0x10', '+1'])('n=%s is refused', async (n) => {
    expect(refusal(await registry().client.get(`${path}?n=${n}`))).toBe('400 UNSUPPORTED')
  })

  test('Link is path-absolute and keeps what else was asked', async () => {
    const answer = await registry().client.get(`${path}?ns=docker.io&n=2&x=a%26b`)
    const next = new URL(nextOf(answer)!, 'http://h')
    expect(nextOf(answer)).toMatch(/^\/v2\/team\/app\/tags\/list\?/)
    expect(Object.fromEntries(next.searchParams)).toEqual({
      ns: 'docker.io',
      n: '2',
      x: 'a&b',
      last: '1.0',
    })
  })

  test('an unknown repository is said so', async () => {
    expect(refusal(await registry().client.get('/v2/no/such/tags/list'))).toBe('404 NAME_UNKNOWN')
  })

  test('HEAD has the length of the list and no body', async () => {
    const { length } = (await registry().client.get(path)).body
    const answer = await registry().client.head(path)
    expect(answer.headers['content-length']).toBe(String(length))
    expect(answer.body).toHaveLength(0)
  })
})

describeRegistry('a long tags/list', { engines: ['uws'] }, (registry) => {
  test('an n beyond the cap is clamped and gets a Link, and so does no n at all', async () => {
    const tags = Array.from({ length: 10_003 }, (_, index) => `t${100_000 + index}`)
    await pushTags(registry(), 'many', tags)
    for (const query of ['?n=50000', '', '?n=10000']) {
      const first = await registry().client.get(`/v2/many/tags/list${query}`)
      expect(tagsOf(first)).toHaveLength(10_000)
      const second = await registry().client.get(nextOf(first)!)
      expect([...tagsOf(first), ...tagsOf(second)]).toEqual(tags)
      expect(nextOf(second)).toBeUndefined()
    }
  })
})

describeRegistry('_catalog', {}, (registry) => {
  const names = ['a', 'a-b', 'a.b/c', 'a/b', 'a0', 'a_b', 'b/a', 'library/alpine', 'z']

  test('is empty at first, an array all the same', async () => {
    expect((await registry().client.get('/v2/_catalog')).json).toEqual({ repositories: [] })
  })

  test('lists in byte order and pages', async () => {
    for (const name of [...names].reverse()) await registry().client.pushBlob(name, '{}')
    expect((await registry().client.get('/v2/_catalog')).json).toEqual({ repositories: names })
    const pages = await followPages(registry().client, '/v2/_catalog?n=2&ns=x')
    expect(pages.flatMap(namesOf)).toEqual(names)
    expect(pages).toHaveLength(5)
    expect(nextOf(pages[0]!)).toMatch(/^\/v2\/_catalog\?.*ns=x/)
  })

  test('last need not exist; n=0 has no Link; a bad n is refused', async () => {
    const { client } = registry()
    expect(namesOf(await client.get('/v2/_catalog?last=a/a'))).toEqual(names.slice(3))
    const none = await client.get('/v2/_catalog?n=0')
    expect(namesOf(none)).toEqual([])
    expect(none.headers['link']).toBeUndefined()
    expect(refusal(await client.get('/v2/_catalog?n=-2'))).toBe('400 UNSUPPORTED')
  })
})

describeRegistry('a wish for more than there is', {}, (registry) => {
  const large = [
    '10000',
    '10001',
    '999999999999999',
    '9007199254740993',
    '9'.repeat(400),
    `0${'0'.repeat(5_000)}9`,
  ]
  const paths = ['/v2/wish/tags/list', '/v2/_catalog', `/v2/wish/referrers/${sha256('x')}`]

  test.each(paths)('in n is no error: %s', async (path) => {
    await pushTags(registry(), 'wish', ['a', 'b'])
    const all = (await registry().client.get(path)).json
    for (const n of large) {
      const answer = await registry().client.get(`${path}?n=${n}`)
      expect(answer.status, n.slice(0, 20)).toBe(200)
      expect(answer.json).toEqual(all)
    }
    for (const n of ['-1', '1e3', '', '1.0', '0x10', ' 1', '+', 'n'.repeat(20_000)]) {
      const answer = await registry().client.get(`${path}?n=${encodeURIComponent(n)}`)
      expect(refusal(answer), n.slice(0, 20)).toBe('400 UNSUPPORTED')
    }
  })

  test.each(paths)('last may have any length: %s', async (path) => {
    for (const last of ['z'.repeat(513), 'z'.repeat(30_000), '\u{1f600}'.repeat(3_000)]) {
      const answer = await registry().client.get(`${path}?last=${encodeURIComponent(last)}`)
      expect(answer.status).toBe(200)
      expect(answer.text).toMatch(/:\[\]/)
    }
  })
})
