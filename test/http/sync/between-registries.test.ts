/**
 * @module A registry that copies from another one of this program: by its catalog, with what is attached, and
 * with the chain of three of them.
 */
import { afterEach, expect, test } from 'vitest'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

async function start(from?: InProcessRegistry, type = 'registry'): Promise<InProcessRegistry> {
  const source = from && {
    name: 'above',
    type,
    url: `http://127.0.0.1:${from.port}`,
    organizations: ['team'],
    repositories: ['side/alone'],
    mode: 'manual',
  }
  const config = source === undefined ? {} : { sync: { sources: [source] } }
  const registry = await startInProcess({ engine: 'node', config })
  open.push(() => dispose(registry))
  return registry
}

async function run({ syncs }: InProcessRegistry) {
  const started = await syncs.trigger('above', { by: 'test' })
  if (started.kind !== 'started') throw new Error(started.kind)
  await started.ended
  return syncs.status('above')!
}

async function digestOf({ client }: InProcessRegistry, path: string, reference: string) {
  const answer = await client.head(`/v2/${path}/manifests/${reference}`)
  return answer.status === 200 ? String(answer.headers['docker-content-digest']) : undefined
}

test.each(['registry', 'fastregistry'])('of type %s, through a chain of three', async (type) => {
  const top = await start()
  for (const path of ['team/app', 'team/tool', 'side/alone', 'other/app']) {
    await top.client.pushImage(path, 'v1')
  }
  const subject = await top.client.pushImage('team/app', 'v1')
  const { digest: signed } = await top.client.pushImage('team/app', undefined, { subject })

  const middle = await start(top, type)
  const bottom = await start(middle, type)
  expect(await run(middle)).toMatchObject({ lastResult: 'ok', counts: { copied: 3, failed: 0 } })
  expect(await run(bottom)).toMatchObject({ lastResult: 'ok', counts: { copied: 3, failed: 0 } })
  for (const path of ['team/app', 'team/tool', 'side/alone']) {
    expect(await digestOf(bottom, path, 'v1')).toBe(await digestOf(top, path, 'v1'))
  }
  expect(await digestOf(bottom, 'team/app', signed)).toBe(signed)
  expect(await digestOf(bottom, 'other/app', 'v1')).toBeUndefined()

  const again = await run(middle)
  // The history says that nothing has changed; without one each tag is looked at.
  const unchanged = type === 'fastregistry' ? 0 : 3
  expect(again).toMatchObject({ lastResult: 'ok', counts: { copied: 0, unchanged } })
})

test('what a client deleted here does not come back from a registry that has it still', async () => {
  const above = await start()
  await above.client.pushImage('team/app', 'v1')
  const here = await start(above)
  await run(here)
  const { headers, body } = await above.client.get('/v2/team/app/manifests/v1')
  const type = { 'Content-Type': String(headers['content-type']) }
  for (const { client } of [above, here]) {
    const put = { body, headers: type }
    expect((await client.request('PUT', '/v2/team/app/manifests/v2', put)).status).toBe(201)
  }
  expect((await here.client.delete('/v2/team/app/manifests/v2')).status).toBe(202)

  expect(await run(here)).toMatchObject({ counts: { conflict: 1, unchanged: 1 } })
  expect(await digestOf(here, 'team/app', 'v2')).toBeUndefined()
})
