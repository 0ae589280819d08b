/**
 * @module What the machine can do, measured the moment before it is asked of a registry: memory,
 * hash, disk, loopback. MB are 10^6 bytes.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { connect } from 'node:net'
import { Worker } from 'node:worker_threads'
import { contentOf } from './macro/content.ts'

const MiB = 1024 ** 2

export function memcpyRate(): number {
  const source = Buffer.alloc(64 * MiB, 1)
  const target = Buffer.alloc(64 * MiB)
  source.copy(target)
  const times = 16
  const startedAt = performance.now()
  for (let count = 0; count < times; count += 1) source.copy(target)
  return rate(times * source.length, startedAt)
}

/** One core, node:crypto. */
export function sha256Rate(bytes: number): number {
  const chunk = Buffer.alloc(MiB, 1)
  const hash = createHash('sha256')
  const startedAt = performance.now()
  for (let done = 0; done < bytes; done += chunk.length) hash.update(chunk)
  hash.digest()
  return rate(bytes, startedAt)
}

/** One sequential file, then fdatasync: the time until the last byte is on the disk counts. */
export function durableWriteRate(file: string, bytes: number): number {
  // Incompressible bytes, as those that are pushed.
  const chunks = [...contentOf({ seed: 0, sizeBytes: bytes })]
  const fd = openSync(file, 'w')
  const startedAt = performance.now()
  for (const chunk of chunks) writeSync(fd, chunk)
  fdatasyncSync(fd)
  const result = rate(bytes, startedAt)
  closeSync(fd)
  rmSync(file)
  return result
}

const senderSource = `
const { createServer } = require('node:net')
const { parentPort } = require('node:worker_threads')
const chunk = Buffer.alloc(1024 * 1024, 1)
const server = createServer((socket) => {
  const send = () => { while (socket.write(chunk)); }
  socket.on('drain', send)
  socket.on('error', () => {})
  send()
})
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
`

/** One connection of the loopback interface between two threads of Node. */
export async function loopbackRate(seconds: number): Promise<number> {
  const worker = new Worker(senderSource, { eval: true })
  const [port] = (await once(worker, 'message')) as [number]
  let bytes = 0
  const onread = {
    buffer: Buffer.alloc(MiB),
    callback: (length: number) => {
      bytes += length
      return true
    },
  }
  const socket = connect({ port, host: '127.0.0.1', onread } as never)
  await once(socket, 'connect')
  const startedAt = performance.now()
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  const result = rate(bytes, startedAt)
  socket.destroy()
  await worker.terminate()
  return result
}

function rate(bytes: number, startedAt: number): number {
  return bytes / 1e6 / ((performance.now() - startedAt) / 1000)
}
