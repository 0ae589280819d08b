/** @module A file on its way to one member while it grows, over a real connection between two nodes. */
import type { IncomingMessage } from 'node:http'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { blobPaths, digestTrailer, sizeTrailer } from '../../../../../src/mesh/blobs/protocol.ts'
import { CopyStream } from '../../../../../src/mesh/blobs/push/stream.ts'
import type { Authority } from '../../../../../src/mesh/identity/authority.ts'
import { MeshError } from '../../../../../src/mesh/identity/problem.ts'
import type { Credentials } from '../../../../../src/mesh/peers/credentials.ts'
import type { PeerCall } from '../../../../../src/mesh/peers/listener.ts'
import { respondJson } from '../../../../../src/mesh/peers/messages.ts'
import { systemTime } from '../../../../../src/metadata/log/etcd/time.ts'
import { digestOf } from '../../../../../src/registry/hasher.ts'
import { until } from '../../../../support/in-process.ts'
import { FakeTime } from '../../../../support/mesh/fake-time.ts'
import {
  authorityOf,
  clientOf,
  credentialsOf,
  listen,
} from '../../../../support/mesh/peer-nodes.ts'

const file = Buffer.alloc(1_000_000, 'some bytes ')
const digest = digestOf('sha256', file)
const pin = { member: 2, boot: 7, pin: 1 }

let authority: Authority
let own: Credentials
let theirs: Credentials
beforeAll(async () => {
  authority = await authorityOf()
  own = await credentialsOf(authority, 1)
  theirs = await credentialsOf(authority, 2)
})

/** A stream to a member that answers so. */
async function streamTo(answer: (call: PeerCall) => Promise<void>, time = systemTime) {
  const calls: IncomingMessage[] = []
  const listener = await listen({
    credentials: theirs,
    routes: new Map([
      [
        blobPaths.arrive,
        {
          method: 'POST',
          answer: (call: PeerCall) => {
            calls.push(call.request)
            return answer(call)
          },
        },
      ],
    ]),
  })
  const ended: MeshError[] = []
  const stream = new CopyStream({
    member: 2,
    client: clientOf(own, { member: 2, port: listener.port }),
    time,
    algorithm: 'sha256',
    read: async (into, offset) =>
      offset < file.length ? file.copy(into, 0, offset, offset + into.byteLength) : into.byteLength,
    onEnded: (error) => ended.push(error),
  })
  onTestFinished(() => stream.stop())
  return { stream, ended, calls }
}

/** Takes everything, into `got`. */
function taking(got: { bytes: Buffer; trailers?: NodeJS.Dict<string> }, kept: unknown = pin) {
  return async ({ request, response }: PeerCall) => {
    for await (const piece of request as AsyncIterable<Buffer>) {
      got.bytes = Buffer.concat([got.bytes, piece])
    }
    got.trailers = request.trailers
    respondJson(response, 200, { pin: kept })
  }
}

test('a member gets the bytes as they are written, and in the end what they are', async () => {
  const got: Parameters<typeof taking>[0] = { bytes: Buffer.alloc(0) }
  const { stream, ended } = await streamTo(taking(got))
  stream.reached(600_000)
  // Full pieces at once, the rest of it with more.
  await until(() => got.bytes.length === 512 * 1024)
  stream.flush()
  await until(() => got.bytes.length === 600_000)
  expect(got.trailers).toBeUndefined()
  expect(await stream.finish(digest, file.length)).toEqual(pin)
  expect(got.bytes.equals(file)).toBe(true)
  expect(got.trailers).toEqual({ [digestTrailer]: digest, [sizeTrailer]: String(file.length) })
  expect(ended).toEqual([])
})

test('a refusal before the end is told with its reason', async () => {
  const { stream, ended } = await streamTo(async () => {
    throw new MeshError('busy', 'too many blobs come at once')
  })
  stream.reached(10)
  await until(() => ended.length > 0)
  expect(ended[0]).toMatchObject({ problem: 'busy', message: 'too many blobs come at once' })
  await expect(stream.finish(digest, 10)).rejects.toMatchObject({ problem: 'busy' })
})

test('an answer before the end is none', async () => {
  const { stream, ended } = await streamTo(async ({ response }) => {
    respondJson(response, 200, { pin })
  })
  stream.reached(10)
  await until(() => ended.length > 0)
  expect(ended[0]).toMatchObject({ problem: 'message' })
})

test.each([
  ['of another member', { member: 3, boot: 7, pin: 1 }],
  ['of nothing', null],
])('a pin %s is none', async (_what, kept) => {
  const got = { bytes: Buffer.alloc(0) }
  const { stream } = await streamTo(taking(got, kept))
  await expect(stream.finish(digest, file.length)).rejects.toMatchObject({ problem: 'message' })
})

test('a member that takes nothing for ten seconds is given up', async () => {
  const time = new FakeTime()
  let isHeld = false
  const large = 64 * 1024 * 1024
  const { stream, ended } = await streamTo(async ({ request }) => {
    isHeld = true
    await new Promise((resolve) => request.once('close', resolve))
  }, time)
  stream.reached(large)
  await until(() => isHeld)
  // Until the buffers between the two are full something is taken.
  await until(async () => {
    await time.advance(5_000)
    return ended.length > 0
  })
  expect(ended[0]).toMatchObject({ problem: 'silent' })
})

test('one that is stopped is cut at the member, and says nothing', async () => {
  const { stream, ended, calls } = await streamTo(async ({ request }) => {
    await new Promise((resolve) => request.resume().once('close', resolve))
  })
  stream.reached(300_000)
  await until(() => calls.length > 0)
  stream.stop()
  await until(() => calls[0]!.destroyed)
  expect(calls[0]!.complete).toBe(false)
  expect(ended).toEqual([])
})
