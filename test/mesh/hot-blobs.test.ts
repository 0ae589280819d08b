/**
 * @module A blob that many members fetch from one owner at once, over real connections on 127.0.0.1: one that has
 * taken it serves it to the next.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { expect, onTestFinished, test } from 'vitest'
import type { BlobSource } from '../../src/blobs/port.ts'
import { AskPeers, type PeerAnswer } from '../../src/mesh/blobs/ask.ts'
import {
  blobPaths,
  elsewhereHeader,
  parseBytesQuery,
  parseElsewhere,
} from '../../src/mesh/blobs/protocol.ts'
import { ReceivedFiles } from '../../src/mesh/blobs/push/receive.ts'
import { blobRoutes, type LocalCopies } from '../../src/mesh/blobs/serve.ts'
import type { Authority } from '../../src/mesh/identity/authority.ts'
import type { PeerRoute } from '../../src/mesh/peers/listener.ts'
import { systemTime } from '../../src/metadata/log/etcd/time.ts'
import { digestOf } from '../../src/registry/hasher.ts'
import { until } from '../support/in-process.ts'
import { authorityOf, clientOf, credentialsOf, listen } from '../support/mesh/peer-nodes.ts'

const bytes = randomBytes(50_000)
const digest = digestOf('sha256', bytes)
const [owner, taker, next] = [1, 2, 20]

/** The copy of one node: streams that begin while it is held send only a little until the end of the test. */
class Copy {
  isHere = true
  isHeld = false
  readonly #release: (() => void)[] = []

  open(): BlobSource | undefined {
    if (!this.isHere) return undefined
    let isBegun = false
    let wait = this.isHeld
      ? new Promise<void>((resolve) => this.#release.push(resolve)).then(() => {
          wait = undefined
        })
      : undefined
    return {
      sizeBytes: bytes.length,
      ready: (_offset, length) => {
        if (isBegun && wait !== undefined) return wait
        isBegun = true
        return Math.min(length, 1_000)
      },
      use: (offset, length, callback) => callback(bytes.subarray(offset, offset + length)),
      close: () => undefined,
    }
  }

  release(): void {
    for (const release of this.#release) release()
  }
}

async function node(authority: Authority, member: number, copy: Copy): Promise<number> {
  const local = { open: async () => copy.open() } as unknown as LocalCopies
  const routes = blobRoutes(local, new ReceivedFiles(local, systemTime), systemTime)
  const credentials = await credentialsOf(authority, member)
  return (await listen({ credentials, routes })).port
}

async function scene() {
  const authority = await authorityOf()
  const [atOwner, atTaker] = [new Copy(), new Copy()]
  const ports = new Map([
    [owner, await node(authority, owner, atOwner)],
    [taker, await node(authority, taker, atTaker)],
  ])
  const as = async (member: number) => {
    const own = await credentialsOf(authority, member)
    const client = (of: number) => clientOf(own, { member: of, port: ports.get(of)! })
    return new AskPeers({ peers: { client }, time: systemTime })
  }
  const open: PeerAnswer[] = []
  onTestFinished(() => {
    atOwner.release()
    for (const { body } of open) body.abort()
  })
  /** So many members whose streams last. */
  const crowd = async (from: number, count: number) => {
    atOwner.isHeld = true
    for (let member = from; member < from + count; member += 1) {
      open.push(await (await as(member)).open(owner, digest, 0, true))
    }
    atOwner.isHeld = false
  }
  return { as, atTaker, crowd }
}

async function readAll({ body }: PeerAnswer): Promise<Buffer> {
  const pieces: Buffer[] = []
  await body.read((piece) => pieces.push(Buffer.from(piece)))
  return Buffer.concat(pieces)
}

test('the ninth is sent to one that has it, and gets the right bytes', async () => {
  const { as, crowd } = await scene()
  await crowd(3, 1)
  expect((await readAll(await (await as(taker)).open(owner, digest, 0, true))).equals(bytes)).toBe(
    true,
  )
  await crowd(4, 7)
  const answer = await (await as(next)).open(owner, digest, 0, true)
  expect([answer.sender, answer.sizeBytes]).toEqual([taker, bytes.length])
  expect((await readAll(answer)).equals(bytes)).toBe(true)
  // Who asks for the bytes themselves gets them, and so does one that is the only one to have them.
  for (const [member, may] of [
    [next, false],
    [taker, true],
  ] as const) {
    const own = await (await as(member)).open(owner, digest, 0, may)
    expect(own.sender).toBe(owner)
    own.body.abort()
  }
})

test('the owner sends it when the other one has dropped it, or took only a part', async () => {
  const { as, atTaker, crowd } = await scene()
  await crowd(3, 8)
  const asked = await as(next)
  const first = await asked.open(owner, digest, 0, true)
  expect(first.sender).toBe(owner)
  await readAll(first)
  await readAll(await (await as(taker)).open(owner, digest, 10, true))
  const other = await as(next + 1)
  // The last one to have taken all of it is not reached, and so does not keep it from being sent.
  const second = await other.open(owner, digest, 0, true)
  expect(second.sender).toBe(owner)
  await readAll(second)
  atTaker.isHere = false
  await readAll(await (await as(taker)).open(owner, digest, 0, false))
  for (let turn = 0; turn < 4; turn += 1) {
    const answer = await (await as(30 + turn)).open(owner, digest, 0, true)
    expect([answer.sender, (await readAll(answer)).equals(bytes)]).toEqual([owner, true])
  }
})

test('who names another member and sends bytes all the same is not listened to', async () => {
  const authority = await authorityOf()
  const seen = { asked: 0, cut: 0 }
  const route: PeerRoute = {
    method: 'GET',
    async answer({ response }) {
      seen.asked += 1
      const cut = once(response, 'close').then(() => {
        seen.cut += 1
      })
      response.writeHead(200, { 'Content-Length': 1e12, [elsewhereHeader]: taker })
      response.write(bytes)
      await cut
    },
  }
  const credentials = await credentialsOf(authority, owner)
  const { port } = await listen({ credentials, routes: new Map([[blobPaths.bytes, route]]) })
  const own = await credentialsOf(authority, next)
  const client = () => clientOf(own, { member: owner, port })
  const asked = new AskPeers({ peers: { client }, time: systemTime })
  await expect(asked.open(owner, digest, 0, true)).rejects.toMatchObject({ problem: 'message' })
  // Nothing reads on, and the member that it has named is not asked.
  await until(() => seen.cut === 1)
  expect(seen.asked).toBe(1)
})

test('what is said is understood to the last byte', () => {
  const query = `digest=${digest}&from=0`
  expect(parseBytesQuery(query)).toEqual({ digest, from: 0, mayBeElsewhere: false })
  expect(parseBytesQuery(`${query}&elsewhere=1`).mayBeElsewhere).toBe(true)
  for (const more of ['&elsewhere=2', '&elsewhere=1&', '&elsewhere=1&elsewhere=1']) {
    expect(() => parseBytesQuery(`${query}${more}`), more).toThrow('the path needs')
  }
  expect([parseElsewhere(undefined), parseElsewhere('12')]).toEqual([undefined, 12])
  for (const word of ['', '0', '-1', '1.5', '01', '1234567890', ['1', '2']]) {
    expect(() => parseElsewhere(word), String(word)).toThrow('names no member')
  }
})
