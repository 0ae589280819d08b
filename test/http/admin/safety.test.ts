/**
 * @module Two promises of every operation of the admin API, taken from its own document: none answers
 * a page of another site, and no GET changes anything.
 */

import { expect, test } from 'vitest'
import { LmdbEnvironment, prefixRange } from '../../../src/metadata/lmdb/environment.ts'
import { metadataFolder } from '../../../src/metadata/lmdb/folder.ts'
import { DATABASES, type DatabaseName } from '../../../src/metadata/schema.ts'
import { collect, pushOwnImage } from '../../support/admin.ts'
import { RegistryClient } from '../../support/registry-client.ts'
import { startRegistry } from '../../support/start-registry.ts'

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

/** Rows that time alone changes: when the server stopped, that somebody looked. */
const timeKeeping: readonly DatabaseName[] = ['system', 'pulls']

async function snapshot(storage: string): Promise<Record<string, unknown[]>> {
  const environment = new LmdbEnvironment(metadataFolder(storage), false)
  const all: Record<string, unknown[]> = {}
  for (const name of Object.keys(DATABASES) as DatabaseName[]) {
    if (timeKeeping.includes(name)) continue
    all[name] = [...environment.entries(name, prefixRange([]))].map(({ key, value }) => [
      key,
      value instanceof Uint8Array ? value.byteLength : value,
    ])
  }
  await environment.close()
  return all
}

test('no operation answers another site, and no GET changes anything', async () => {
  const registry = await startRegistry({
    config: { storage: { gc: { enabled: false, grace: '0s' } }, log: { access: false } },
  })
  try {
    let client = new RegistryClient(registry.port)
    const image = await pushOwnImage(client, 'safe/app', 'v1', 'safe')
    await pushOwnImage(client, 'safe/app', 'v1', 'safe again')
    const { plan, job } = await collect(client, { dryRun: true })
    const values: Record<string, string> = {
      repository: 'safe/app',
      reference: 'v1',
      tag: 'v1',
      digest: image.digest,
      name: 'pin',
      plan,
      job: job.id,
      path: 'safe',
      mirror: 'none',
    }
    const { paths } = (await client.get('/admin/openapi.json')).json as Document
    const operations = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({
        method: method.toUpperCase(),
        target: path.replace(/\{(\w+)\}/g, (_, name: string) =>
          encodeURIComponent(values[name] ?? 'x'),
        ),
      })),
    )
    expect(operations.length).toBeGreaterThan(25)
    for (const { method, target } of operations) {
      for (const headers of [
        { 'Sec-Fetch-Site': 'cross-site' },
        { 'Sec-Fetch-Site': 'same-site' },
        { Origin: 'https://evil.example' },
        { Origin: 'null' },
      ]) {
        const answer = await client.request(method, target, {
          headers: { 'Content-Type': 'application/json', ...headers },
          ...(method === 'GET' ? {} : { body: '{}' }),
        })
        expect(answer.status, `${method} ${target} ${JSON.stringify(headers)}`).toBe(403)
      }
    }
    client.close()
    await registry.terminate()
    const before = await snapshot(registry.storage)
    await registry.restart()
    client = new RegistryClient(registry.port)
    const queries = [
      '',
      '?limit=5&of=safe/app:v1&repository=safe/app',
      '?newest=true',
      '?sort=size',
    ]
    for (const { method, target } of operations) {
      if (method !== 'GET' || target.endsWith('/stream')) continue
      for (const query of queries) {
        expect((await client.get(`${target}${query}`)).status, target).toBeLessThan(500)
        await client.head(`${target}${query}`)
      }
    }
    client.close()
    await registry.terminate()
    expect(await snapshot(registry.storage)).toEqual(before)
  } finally {
    await registry.stop()
  }
})
