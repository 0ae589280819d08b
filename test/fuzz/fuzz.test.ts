/**
 * @module Throws bytes at the socket of a real server for a while, then asks: does it live, is it
 * right, has it leaked? `FASTREGISTRY_FUZZ_SEED` replays a run (one client after the other then
 * decides what was sent; the timing is the machine's), `FASTREGISTRY_FUZZ_SECONDS` sets its length.
 */

import { readdir } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { blobPaths } from '../../src/blobs/files/layout.ts'
import { LmdbEnvironment } from '../../src/metadata/lmdb/environment.ts'
import { metadataFolder } from '../../src/metadata/lmdb/folder.ts'
import { ENGINES } from '../support/in-process.ts'
import { RawClient } from '../support/raw-http.ts'
import { expectStatus, RegistryClient, sha256, someBytes } from '../support/registry-client.ts'
import { type RunningRegistry, startRegistry } from '../support/start-registry.ts'
import { Dice, makeRequest, mutate } from './requests.ts'

const { FASTREGISTRY_FUZZ_SEED, FASTREGISTRY_FUZZ_SECONDS } = process.env
const seed = Number(FASTREGISTRY_FUZZ_SEED ?? Date.now() % 2 ** 31)
const seconds = Number(FASTREGISTRY_FUZZ_SECONDS ?? 20)
const clientsAtOnce = 8

/** How long what ends in the background may take. */
const patience = { timeout: 20_000 }

/** How long a client waits for an answer that may never come, because the request is broken. */
const answerWaitMs = 150

class Fuzzer {
  readonly #registry: RunningRegistry
  readonly #sessions: string[] = []
  readonly answers = new Map<number, number>()
  connections = 0

  constructor(registry: RunningRegistry) {
    this.#registry = registry
  }

  async run(dice: Dice, untilMs: number): Promise<void> {
    while (performance.now() < untilMs) await this.#connection(dice)
  }

  async #connection(dice: Dice): Promise<void> {
    const client = await RawClient.connect(this.#registry.port)
    this.connections += 1
    try {
      for (let requests = 1 + dice.below(4); requests > 0; requests -= 1) {
        await this.#exchange(client, dice)
      }
    } catch {
      // The server may close whenever it cannot make sense of what it got.
    }
    if (dice.chance(50)) client.abort()
    else client.close()
  }

  async #exchange(client: RawClient, dice: Dice): Promise<void> {
    const count = dice.chance(20) ? 2 + dice.below(4) : 1
    const requests = Array.from({ length: count }, () => makeRequest(dice, this.#sessions))
    const whole = Buffer.concat(requests.map(({ bytes }) => bytes))
    switch (dice.below(10)) {
      case 0:
        return client.send(dice.bytes(dice.below(3000)))
      case 1:
        // Half a request, and no more.
        return client.send(whole.subarray(0, dice.below(whole.length)))
      case 2:
        await client.send(mutate(dice, whole))
        break
      case 3:
        for (let at = 0; at < Math.min(whole.length, 400); at += 1 + dice.below(40)) {
          await client.send(whole.subarray(at, at + 1 + dice.below(40)))
        }
        break
      default:
        await client.send(whole)
    }
    for (const { method } of requests) await this.#answer(client, method)
  }

  async #answer(client: RawClient, method: string): Promise<void> {
    const timer = setTimeout(() => client.close(), answerWaitMs)
    try {
      let { status, headers } = await client.readResponse(method)
      if (status === 100) ({ status, headers } = await client.readResponse(method))
      this.answers.set(status, (this.answers.get(status) ?? 0) + 1)
      const location = headers.get('location')
      if (status === 202 && location?.includes('/uploads/') === true) this.#remember(location)
    } finally {
      clearTimeout(timer)
    }
  }

  #remember(location: string): void {
    this.#sessions.push(location)
    if (this.#sessions.length > 50) this.#sessions.shift()
  }
}

const openDescriptors = async (registry: RunningRegistry) =>
  (await readdir(`/proc/${registry.pid}/fd`)).length

async function openRequests(client: RegistryClient): Promise<number> {
  const { text } = await client.get('/metrics')
  return Number(/^fastregistry_open_requests (\d+)$/m.exec(text)?.[1])
}

/** A push and a pull as clients do them: everything byte for byte. */
async function expectRight(client: RegistryClient, round: number): Promise<void> {
  for (const size of [10, 300_000]) {
    const content = someBytes(size, round)
    await client.pushBlob('after/fuzz', content)
    const pulled = await client.get(`/v2/after/fuzz/blobs/${sha256(content)}`)
    expect(pulled.body.equals(content)).toBe(true)
  }
  const image = await client.pushImage('after/fuzz', 'v1')
  const manifest = await client.get('/v2/after/fuzz/manifests/v1')
  expect(sha256(manifest.body)).toBe(image.digest)
}

/** Ends every session that is left, as its client would; then no file may be left either. */
async function expectNoLeftovers(client: RegistryClient, registry: RunningRegistry): Promise<void> {
  const paths = blobPaths(registry.storage)
  const metadata = new LmdbEnvironment(metadataFolder(registry.storage), false)
  try {
    // By the rows, because noise that is nearly right opens sessions in repositories of any name.
    const repositoryOf = (id: string) =>
      (metadata.get('uploads', id) as { repository: string } | undefined)?.repository
    // Files of sessions that just ended go in the background.
    const strays = async () =>
      (await readdir(paths.uploads)).filter((id) => repositoryOf(id) === undefined)
    await expect.poll(strays, patience).toEqual([])
    for (const id of await readdir(paths.uploads)) {
      const location = `/v2/${repositoryOf(id)}/blobs/uploads/${id}`
      expectStatus(await client.delete(location), 204, 'cancel')
    }
    await expect.poll(() => readdir(paths.uploads), patience).toEqual([])
  } finally {
    await metadata.close()
  }
}

describe.each(ENGINES)('the server on %s', (engine) => {
  test(`survives ${seconds / ENGINES.length} s of noise with seed ${seed}, right and without leaks`, async () => {
    console.info(`FASTREGISTRY_FUZZ_SEED=${seed} (${engine})`)
    // No access log: only what the server has to say of itself.
    const config = { log: { access: false }, server: { max_uploads_per_client: 100_000 } }
    const registry = await startRegistry({ engine, config })
    let isStopped = false
    try {
      const client = new RegistryClient(registry.port)
      await expectRight(client, 1)
      const before = await openDescriptors(registry)
      const fuzzer = new Fuzzer(registry)
      const untilMs = performance.now() + (seconds * 1000) / ENGINES.length
      await Promise.all(
        Array.from({ length: clientsAtOnce }, (_, index) => {
          return fuzzer.run(new Dice(seed + index), untilMs)
        }),
      )
      const answers = [...fuzzer.answers].sort(([a], [b]) => a - b).map((it) => it.join(': '))
      console.info(`${fuzzer.connections} connections, answers by status ${answers.join(', ')}`)
      // Otherwise it was noise alone, and said nothing about the routes.
      for (const status of [200, 201, 202, 400, 404, 405])
        expect([...fuzzer.answers.keys()]).toContain(status)

      const health = await client.get('/healthz')
      expect([health.status, health.json]).toMatchObject([200, { status: 'healthy' }])
      await expectRight(client, 2)
      // The request that asks is one of them.
      await expect.poll(() => openRequests(client), patience).toBe(1)
      await expectNoLeftovers(client, registry)
      // Its kept connections are descriptors too.
      client.close()
      await expect.poll(() => openDescriptors(registry), patience).toBeLessThanOrEqual(before + 5)
      const faults = registry.logs().filter((line) => /"level":[56]0|Error|^ +at /.test(line))
      expect(faults).toEqual([])
      const exitCode = await registry.stop()
      isStopped = true
      expect(exitCode).toBe(0)
    } finally {
      // What failed above is what counts, not that the server may be unable to stop after it.
      if (!isStopped) {
        await registry.kill9()
        await registry.stop()
      }
    }
  })
})
