/**
 * @module The gRPC client of the log in etcd, against a gRPC server of the test that answers with bytes.
 */
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { connectEtcd } from '../../../../src/metadata/log/etcd/client.ts'
import type { EtcdConnection } from '../../../../src/metadata/log/etcd/connection.ts'
import type { CallFailure } from '../../../../src/metadata/log/etcd/errors.ts'
import { MESSAGE_BYTES_MAX } from '../../../../src/metadata/log/etcd/limits.ts'

type Answer = (call: ServerUnaryCall<Buffer, Buffer>, send: sendUnaryData<Buffer>) => void
type Stream = (call: ServerDuplexStream<Buffer, Buffer>) => void

let server: Server
let connection: EtcdConnection
let answer: Answer
let stream: Stream
const same = (bytes: Buffer) => bytes

beforeEach(async () => {
  answer = (call, send) => send(null, call.request)
  stream = () => {}
  server = new Server({ 'grpc.max_send_message_length': -1, 'grpc.max_receive_message_length': -1 })
  const shape = { requestSerialize: same, requestDeserialize: same }
  const types = { ...shape, responseSerialize: same, responseDeserialize: same }
  const service = {
    call: { path: '/test/call', requestStream: false, responseStream: false, ...types },
    stream: { path: '/test/stream', requestStream: true, responseStream: true, ...types },
  }
  server.addService(service, {
    call: (call: ServerUnaryCall<Buffer, Buffer>, send: sendUnaryData<Buffer>) =>
      answer(call, send),
    stream: (call: ServerDuplexStream<Buffer, Buffer>) => stream(call),
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  connection = connectEtcd(`127.0.0.1:${port}`)
})

afterEach(() => {
  connection.close()
  server.forceShutdown()
})

function call(request: Uint8Array, method = '/test/call'): Promise<Uint8Array | CallFailure> {
  return new Promise((resolve) => {
    connection.call(method, request, { onAnswer: resolve, onFailure: resolve })
  })
}

test('a call carries bytes there and back', async () => {
  const request = Uint8Array.of(0, 1, 2, 255)
  expect(Buffer.from((await call(request.subarray(1))) as Uint8Array)).toEqual(
    Buffer.from([1, 2, 255]),
  )
  expect((await call(new Uint8Array())) as Uint8Array).toHaveLength(0)
})

test('a call that fails has the name and the words of its status', async () => {
  answer = (_, send) => send({ code: status.RESOURCE_EXHAUSTED, details: 'space exceeded' })
  expect(await call(Uint8Array.of(1))).toEqual({
    status: 'RESOURCE_EXHAUSTED',
    details: 'space exceeded',
  })
  expect(await call(Uint8Array.of(1), '/test/other')).toMatchObject({ status: 'UNIMPLEMENTED' })
})

test('a call is sent once, whatever its end', async () => {
  let count = 0
  answer = (_, send) => {
    count += 1
    send({ code: status.UNAVAILABLE, details: 'later' })
  }
  expect(await call(Uint8Array.of(1))).toMatchObject({ status: 'UNAVAILABLE' })
  expect(count).toBe(1)
})

test('a call that is given up ends at the server, and says nothing', async () => {
  let outcome: unknown
  const ended = new Promise<void>((resolve) => {
    answer = (received) => {
      received.on('cancelled', resolve)
      giveUp()
    }
  })
  const giveUp = connection.call('/test/call', Uint8Array.of(1), {
    onAnswer: (bytes) => {
      outcome = bytes
    },
    onFailure: (failure) => {
      outcome = failure
    },
  })
  await ended
  // A later call on the same connection has been through.
  answer = (received, send) => send(null, received.request)
  await call(Uint8Array.of(2))
  expect(outcome).toBeUndefined()
})

test('an answer above the bound is not taken in', async () => {
  let length = MESSAGE_BYTES_MAX + 1
  answer = (_, send) => send(null, Buffer.alloc(length))
  const summary = async () => {
    const outcome = await call(Uint8Array.of(1))
    return 'details' in outcome ? outcome.details : outcome.length
  }
  expect(await summary()).toMatch(/larger than max/)
  length = MESSAGE_BYTES_MAX
  expect(await summary()).toBe(length)
})

test('a stream sends its request, needs a leader, and hands on messages until it ends', async () => {
  const sent: Buffer[] = []
  let leader: unknown
  stream = (received) => {
    leader = received.metadata.get('hasleader')
    received.on('data', (bytes: Buffer) => {
      sent.push(bytes)
      received.write(Buffer.from([7]))
      received.write(Buffer.from([8]))
      received.emit('error', { code: status.UNAVAILABLE, details: 'no leader' })
    })
  }
  const messages: number[] = []
  const failure = await new Promise((resolve) => {
    connection.stream('/test/stream', Uint8Array.of(5), {
      onMessage: (message) => messages.push(...message),
      onEnd: resolve,
    })
  })
  expect(sent.map((bytes) => [...bytes])).toEqual([[5]])
  expect(leader).toEqual(['true'])
  expect(messages).toEqual([7, 8])
  expect(failure).toEqual({ status: 'UNAVAILABLE', details: 'no leader' })
})

test('a stream that the server ends well has ended all the same', async () => {
  stream = (received) => received.end()
  const failure = await new Promise((resolve) => {
    connection.stream('/test/stream', Uint8Array.of(5), { onMessage: () => {}, onEnd: resolve })
  })
  expect(failure).toMatchObject({ status: 'UNAVAILABLE' })
})

test('a stream that is left ends at the server, and hands on nothing more', async () => {
  const messages: unknown[] = []
  const ended = new Promise<void>((resolve) => {
    stream = (received) => {
      received.on('cancelled', resolve)
      for (const message of [1, 2, 3]) received.write(Buffer.from([message]))
    }
  })
  const leave = connection.stream('/test/stream', Uint8Array.of(5), {
    onMessage: (message) => {
      messages.push(message)
      leave()
    },
    onEnd: (failure) => messages.push(failure),
  })
  await ended
  await call(Uint8Array.of(2))
  expect(messages).toHaveLength(1)
})

test('an endpoint that nothing listens on fails at once, and its words say so', async () => {
  server.forceShutdown()
  connection.close()
  connection = connectEtcd('127.0.0.1:1')
  expect(await call(Uint8Array.of(1))).toMatchObject({
    status: 'UNAVAILABLE',
    details: expect.stringContaining('ECONNREFUSED'),
  })
})
