import { describe, expect, onTestFinished, test } from 'vitest'
import type { FillAnswer, FillSource } from '../../../src/blobs/fill/source.ts'
import { Fills, type FillsParts, fillPath } from '../../../src/mesh/fills.ts'
import type { PeerRoute } from '../../../src/mesh/peers/listener.ts'
import { systemTime } from '../../../src/metadata/log/etcd/time.ts'
import { FakeTime } from '../../support/mesh/fake-time.ts'
import { authorityOf, clientOf, credentialsOf, listen } from '../../support/mesh/peer-nodes.ts'
import { sha256 } from '../../support/registry-client.ts'

/** A digest that member 2 of these two fetches. */
const digest = (() => {
  const fills = new Fills({ member: 1, present: () => [2] } as unknown as FillsParts)
  for (let at = 0; ; at += 1) {
    const found = sha256(`blob ${at}`)
    if (fills.fillerOf(found) === 2) return found
  }
})()

const fromUpstream: FillAnswer = {
  offset: 0,
  sizeBytes: 4,
  body: { read: async () => {}, pause: () => {}, resume: () => {}, abort: () => {} },
}

/** Upstream, and what it was asked for. */
function upstream(): { own: FillSource; asked: number[] } {
  const asked: number[] = []
  const own: FillSource = {
    open: async (offset) => {
      asked.push(offset)
      return fromUpstream
    },
    size: async () => undefined,
    fault: (kind, message) => new Error(`${kind}: ${message}`),
    judge: (error) => ({ error: error as Error, isPassing: true }),
  }
  return { own, asked }
}

/** What member 1 fills from, where member 2 answers so. */
async function filled(answer: PeerRoute['answer'], parts: Partial<FillsParts> = {}) {
  const authority = await authorityOf()
  const [one, two] = await Promise.all([1, 2].map((number) => credentialsOf(authority, number)))
  const route = { method: 'POST' as const, answer }
  const { port } = await listen({
    credentials: two!,
    routes: new Map([[fillPath, route]]),
    faults: [],
  })
  const client = clientOf(one!, { member: 2, port })
  const fills = new Fills({
    member: 1,
    present: () => [2],
    client: () => client,
    open: () => Promise.reject(new Error('not here')),
    time: systemTime,
    ...parts,
  })
  const { own, asked } = upstream()
  return { source: fills.sourceOf(own, 'hub/app', digest), asked }
}

const deadline = () => systemTime.monotonic() + 30_000

async function read({ body }: FillAnswer): Promise<string> {
  let text = ''
  await body.read((bytes) => {
    text += Buffer.from(bytes).toString()
  })
  return text
}

describe('a fill that reads from the filler', () => {
  test('has its bytes and its length, and asks upstream for nothing', async () => {
    const { source, asked } = await filled(async ({ query, response }) => {
      expect(query).toMatch(`digest=${digest}&repository=hub/app&ms=`)
      response.writeHead(200, { 'Content-Length': 4 }).end('blob')
    })
    const answer = await source.open(0, deadline())
    expect([answer.offset, answer.sizeBytes, await read(answer)]).toEqual([0, 4, 'blob'])
    expect(asked).toEqual([])
  })

  test.each([
    ['refuses', { status: 503, headers: {} }],
    ['does not say how long it is', { status: 200, headers: {} }],
    ['says it in another way', { status: 200, headers: { 'Content-Length': '04' } }],
  ])('upstream is asked where it %s', async (_what, { status, headers }) => {
    const { source, asked } = await filled(async ({ response }) => {
      response.writeHead(status, headers).end('blob')
    })
    expect(await source.open(0, deadline())).toBe(fromUpstream)
    expect(asked).toEqual([0])
  })

  test('what breaks off is a fault that another attempt may mend, and that goes upstream', async () => {
    const { source, asked } = await filled(async ({ response }) => {
      response.writeHead(200, { 'Content-Length': 4 })
      response.write('bl', () => response.destroy())
    })
    const answer = await source.open(0, deadline())
    await expect(read(answer)).rejects.toThrow('reset')
    await source.open(2, deadline())
    expect(asked).toEqual([2])
  })

  test('one that does not answer is waited for while it lives, and not longer', async () => {
    const time = new FakeTime()
    let present = [2]
    let come = () => {}
    const arrived = new Promise<void>((resolve) => {
      come = resolve
    })
    const { source, asked } = await filled(
      ({ response }) => {
        come()
        return new Promise((resolve) => response.once('close', resolve))
      },
      { time, present: () => present },
    )
    const opened = source.open(0, time.monotonic() + 50_000)
    await arrived
    await time.advance(30_000)
    expect(asked).toEqual([])
    present = []
    await time.advance(1_000)
    expect(await opened).toBe(fromUpstream)
  })

  test('a reader that throws ends it', async () => {
    const ended = new Promise<void>((resolve) => {
      onTestFinished(() => resolve())
    })
    const { source } = await filled(async ({ response }) => {
      response.writeHead(200, { 'Content-Length': 1_000_000 }).write('blob')
      await Promise.race([new Promise((resolve) => response.once('close', resolve)), ended])
    })
    const { body } = await source.open(0, deadline())
    const failing = body.read(() => {
      throw new Error('disk full')
    })
    await expect(failing).rejects.toThrow('disk full')
  })
})

test('members agree on the filler of a digest, and each is it for some', () => {
  const counts = new Map<number, number>()
  for (let at = 0; at < 300; at += 1) {
    const of = sha256(`b${at}`)
    const seen = [1, 2, 3].map((member) => {
      const present = () => [1, 2, 3].filter((other) => other !== member)
      return new Fills({ member, present } as unknown as FillsParts).fillerOf(of)
    })
    expect(new Set(seen).size).toBe(1)
    counts.set(seen[0]!, (counts.get(seen[0]!) ?? 0) + 1)
  }
  for (const member of [1, 2, 3]) expect(counts.get(member)).toBeGreaterThan(60)
})
