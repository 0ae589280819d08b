/**
 * @module What a reader has to open to follow a pull and an upload: the modules that run for a blob that
 * is served, and for one chunk, between the engine and the drivers. `docs/architecture.md` says the chains.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { enteredModules } from '../../support/entered-modules.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { sha256, someBytes } from '../../support/registry-client.ts'

/** From the route to the use case and the store of blobs. The engine, the domain and drivers are ports. */
const COUNTED =
  /\/(src\/(?:http\/(?:handlers\/|access\/)?[a-z-]+|blobs\/[a-z-]+|distribution\/(?:upload\/)?[a-z-]+))\.ts$/

let registry: InProcessRegistry
beforeAll(async () => {
  registry = await startInProcess({ engine: 'uws' })
})
afterAll(() => dispose(registry))

test('a pull of a blob', async () => {
  const { client } = registry
  const [first, second] = [someBytes(2_000_000, 1), someBytes(2_000_000, 2)]
  await client.pushBlob('app', first)
  await client.pushBlob('app', second)
  await client.get(`/v2/app/blobs/${sha256(first)}`)
  const modules = await enteredModules(COUNTED, async () => {
    const { body } = await client.get(`/v2/app/blobs/${sha256(second)}`)
    expect(body.equals(second)).toBe(true)
  })
  expect(modules).toContain('src/blobs/store')
  expect(modules.length, modules.join('\n')).toBeLessThanOrEqual(8)
})

test('a chunk of an upload', async () => {
  const { client } = registry
  const body = someBytes(2_000_000, 3)
  const patch = (path: string) => client.request('PATCH', path, { body })
  await patch(await client.open('app'))
  const location = await client.open('app')
  const modules = await enteredModules(COUNTED, async () => {
    expect((await patch(location)).status).toBe(202)
  })
  expect(modules).toContain('src/distribution/uploads')
  expect(modules.length, modules.join('\n')).toBeLessThanOrEqual(11)
})
