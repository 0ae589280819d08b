/** @module Large manifests and the thread that reads them: when it dies, when too many wait. */
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { ManifestReader } from '../../../src/distribution/manifest-reader.ts'
import {
  judgeManifest,
  type ManifestRequest,
} from '../../../src/distribution/worker/read-manifest.ts'
import type { LongTask } from '../../../src/runtime/worker-pool.ts'

const index = (padding: number) =>
  Buffer.from(`{"schemaVersion":2,"manifests":[],"x":"${'y'.repeat(padding)}"}`)
const text = (padding: number) => ({
  bytes: index(padding),
  contentType: 'application/vnd.oci.image.index.v1+json',
  claimed: undefined,
})

/** A reader whose "thread" answers only when `work` is called, and dies by `kill`. */
function makeReader() {
  const asked: ManifestRequest[] = []
  const ports: MessagePort[] = []
  const kills: ((error: Error) => void)[] = []
  let heard = () => {}
  const start = (): LongTask => {
    const { port1, port2 } = new MessageChannel()
    port2.on('message', (request: ManifestRequest) => {
      asked.push(request)
      heard()
    })
    ports.push(port2)
    onTestFinished(() => port2.close())
    const ended = new Promise<void>((resolve, reject) => {
      kills.push(reject)
      port2.on('close', () => resolve())
    })
    return { port: port1, ended }
  }
  const reader = new ManifestReader(start)
  onTestFinished(() => reader.close())
  const work = async () => {
    if (asked.length === 0) await new Promise<void>((resolve) => (heard = resolve))
    const { id, text: one } = asked.shift()!
    ports.at(-1)!.postMessage({ id, verdict: judgeManifest(one) })
  }
  return { reader, work, ports, kill: () => kills.at(-1)!(new Error('killed')) }
}

test('a small manifest is read at once, and no thread starts', () => {
  const { reader, ports } = makeReader()
  expect(reader.read(text(10))).not.toBeInstanceOf(Promise)
  expect(ports).toHaveLength(0)
})

test('a large one is read elsewhere, with the same outcome', async () => {
  const { reader, work } = makeReader()
  const reading = reader.read(text(100_000))
  await work()
  const { read } = judgeManifest(text(100_000)) as { read: unknown }
  expect(await reading).toEqual(read)
})

test('what waits when the thread dies hears 503', async () => {
  const { reader, kill } = makeReader()
  const reading = reader.read(text(100_000))
  kill()
  await expect(reading).rejects.toMatchObject({ code: 'UNAVAILABLE', status: 503 })
})

test('the 33rd that would wait hears 503 at once', async () => {
  const { reader } = makeReader()
  const readings = Array.from({ length: 32 }, () => reader.read(text(100_000)))
  expect(() => reader.read(text(100_000))).toThrow('too many large manifests')
  expect(reader.read(text(10))).toHaveProperty('digest')
  const settled = Promise.allSettled(readings)
  await reader.close()
  expect((await settled).every(({ status }) => status === 'rejected')).toBe(true)
})
