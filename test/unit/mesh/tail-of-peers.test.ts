/** What peers have kept of the log: who is asked, what of it is believed, and how much. */
import { expect, test } from 'vitest'
import { MeshError } from '../../../src/mesh/identity/problem.ts'
import { tailOfPeers } from '../../../src/mesh/tail-of-peers.ts'
import type { LogEntry } from '../../../src/metadata/log/port.ts'

const entry = (index: number, token = `t${index}`): LogEntry => ({
  index,
  token,
  bytes: Uint8Array.of(index),
})
const range = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, at) => entry(first + at))

/** A peer with these entries, three at a time. */
function peer(member: number, entries: readonly LogEntry[], end?: MeshError) {
  const asked: number[] = []
  return {
    asked,
    peer: { member, address: `127.0.0.1:${member}` },
    async *readLog(after: number) {
      asked.push(after)
      const behind = entries.filter(({ index }) => index > after)
      if (behind[0]?.index !== after + 1) throw new MeshError('cut', 'the tail has not that')
      for (let at = 0; at < behind.length; at += 3) yield behind.slice(at, at + 3)
      if (end !== undefined) throw end
    },
  }
}

async function taken(
  peers: readonly ReturnType<typeof peer>[],
  place = entry(4),
  upTo = 20,
  now = () => 0,
) {
  const refused: string[] = []
  const indexes: number[] = []
  const onRefused = (member: number, { problem }: MeshError) => refused.push(`${member} ${problem}`)
  for await (const some of tailOfPeers({ peers: () => peers, now, onRefused }, place, upTo)) {
    indexes.push(...some.map(({ index }) => index))
  }
  return { indexes, refused }
}

test('all of it comes from the first that has it', async () => {
  const [one, other] = [peer(1, range(1, 20)), peer(2, range(1, 20))]
  const { indexes, refused } = await taken([one, other])
  expect(indexes).toEqual(range(5, 20).map(({ index }) => index))
  expect([one.asked, other.asked, refused]).toEqual([[3], [], []])
})

test('another one goes on where the first ends or breaks off', async () => {
  const broken = peer(1, range(1, 9), new MeshError('silent', 'gone'))
  const { indexes, refused } = await taken([broken, peer(2, range(8, 12)), peer(3, range(6, 30))])
  expect(indexes).toEqual(range(5, 20).map(({ index }) => index))
  expect(refused).toEqual(['1 silent'])
})

test('who has lost the next entry, or has another one in its place, is refused', async () => {
  const other = peer(2, [entry(4, 'other'), ...range(5, 20)])
  const { indexes, refused } = await taken([peer(1, range(9, 20)), other])
  expect([indexes, refused]).toEqual([[], ['1 cut', '2 log']])
})

test('no more comes than the log has', async () => {
  const { indexes } = await taken([peer(1, range(1, 1_000))], entry(4), 6)
  expect(indexes).toEqual([5, 6])
  expect((await taken([peer(1, range(1, 1_000))], entry(6), 6)).indexes).toEqual([])
})

test('a peer that takes for ever is left', async () => {
  let minutes = 0
  const slow = () => {
    minutes += 6
    return minutes * 60_000
  }
  const { refused } = await taken([peer(1, range(1, 1_000))], entry(4), 1_000, slow)
  expect(refused).toEqual(['1 silent'])
})
