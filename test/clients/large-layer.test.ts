/**
 * @module A 2 GiB layer through `skopeo`, there and back, while the server's private memory and its
 * event-loop delay are watched: both are promises of the product. Prints what it measured.
 */

import { readFile, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { randomLayer, writeImage } from '../support/random-image.ts'
import { readLayout } from './support/layout.ts'
import { clientSession } from './support/session.ts'
import { skipLoudly } from './support/tools.ts'

const GIBIBYTE = 2 ** 30
const LAYER_BYTES = 2 * GIBIBYTE
/** The layer made here, stored and pulled, and skopeo's own temporary copies of it. */
const DISK_BYTES_MIN = 12 * GIBIBYTE
const PRIVATE_MEBIBYTES_MAX = 300
const LOOP_DELAY_MS_P99_MAX = 20
const SAMPLE_EVERY_MS = 50

const session = clientSession('skopeo')

test('a 2 GiB layer costs the server little memory and no event-loop delay', async (context) => {
  const { bavail, bsize } = await statfs(tmpdir())
  if (bavail * bsize < DISK_BYTES_MIN) {
    skipLoudly(context, `${tmpdir()} has less than ${DISK_BYTES_MIN / GIBIBYTE} GiB free`)
  }
  const pool = session.own('pool')
  const layer = await randomLayer(pool, LAYER_BYTES, 2)
  const image = await writeImage(pool, session.own('image'), [layer])
  const remote = `docker://${session.at('large/layer:v1')}`
  const skopeo = async (...args: string[]) => {
    const startedAt = performance.now()
    await session.run('skopeo', '--insecure-policy', 'copy', ...args)
    return (performance.now() - startedAt) / 1000
  }

  const { process: server } = session.target
  const memory = server === undefined ? undefined : watchMemory(server.pid)
  const source = `oci:${image.folder}:latest`
  const pushSeconds = await skopeo('--dest-tls-verify=false', source, remote)
  await rm(image.folder, { recursive: true })
  await rm(pool, { recursive: true })
  const copy = `oci:${session.own('copy')}:latest`
  const pullSeconds = await skopeo('--src-tls-verify=false', remote, copy)
  const peakMebibytes = await memory?.stop()

  const back = await readLayout(session.own('copy'))
  expect(back.digest).toBe(image.digest)
  expect(back.blobs).toContain(layer.digest)
  process.stderr.write(
    `MEASURED: 2 GiB layer: push ${pushSeconds.toFixed(1)} s, pull ${pullSeconds.toFixed(1)} s\n`,
  )
  if (peakMebibytes === undefined) return
  const delayMs = await loopDelayMsP99(session.target.url)
  process.stderr.write(
    `MEASURED: 2 GiB layer: peak private memory ${peakMebibytes.toFixed(0)} MiB, ` +
      `event-loop delay p99 ${delayMs.toFixed(1)} ms\n`,
  )
  expect(peakMebibytes).toBeLessThan(PRIVATE_MEBIBYTES_MAX)
  expect(delayMs).toBeLessThan(LOOP_DELAY_MS_P99_MAX)
})

/** Samples RssAnon, what no mapped file accounts for. `stop` resolves to its peak in MiB. */
function watchMemory(pid: number): { stop(): Promise<number> } {
  let peakKibibytes = 0
  const sample = async () => {
    const status = await readFile(join('/proc', String(pid), 'status'), 'utf8')
    peakKibibytes = Math.max(peakKibibytes, Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]))
  }
  const timer = setInterval(() => void sample().catch(() => undefined), SAMPLE_EVERY_MS)
  timer.unref()
  return {
    async stop() {
      clearInterval(timer)
      await sample()
      return peakKibibytes / 1024
    },
  }
}

async function loopDelayMsP99(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  const name = 'fastregistry_event_loop_delay_seconds{quantile="0.99"}'
  const line = metrics.split('\n').find((text) => text.startsWith(name))
  expect(line, `${name} in /metrics`).toBeDefined()
  return Number(line?.slice(name.length)) * 1000
}
