/**
 * @module The commands of clean-up against a running server: what they print, their exit codes.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { pushOwnImage } from '../../support/admin.ts'
import { runHere } from '../../support/cli.ts'
import { describeRegistry, ENGINES } from '../../support/in-process.ts'
import { RegistryClient } from '../../support/registry-client.ts'
import { startRegistry } from '../../support/start-registry.ts'

const config = { storage: { gc: { grace: '0s', keep_recent: 1 } } }

describeRegistry('the commands', { config, engines: ENGINES.slice(0, 1) }, (registry) => {
  const run = (line: string, port = registry().port) => runHere(line, port)

  test('list, copy, delete by plan, explain, undelete', async () => {
    const { client } = registry()
    const image = await pushOwnImage(client, 'cli/app', 'v1', 'one')
    await pushOwnImage(client, 'cli/app', 'v2', 'two')
    expect(await run('repos')).toMatchObject({
      code: 0,
      out: expect.stringContaining('cli/app') as string,
    })
    expect((await run('tags cli/app --sort -pushed')).out).toMatch(/TAG[\s\S]*v2[\s\S]*v1/)
    expect((await run('copy cli/app:v1 cli/copy:v1')).out).toContain(image.digest)
    expect((await run('gc explain cli/app:v1')).out).toMatch(/v1 +goes/)
    const plan = await run('gc plan')
    expect(plan.out).toMatch(/^done/)
    const id = /plan (\S+)/.exec(plan.out)![1]!
    expect((await run(`gc show ${id}`)).out).toContain('not one of the newest 1 tags')
    expect((await run(`gc apply ${id} --json`)).code).toBe(0)
    expect((await client.get('/v2/cli/app/manifests/v1')).status).toBe(404)
    expect((await run('undelete cli/app')).out).toContain(image.digest)
    expect((await run('undelete cli/app:v1')).code).toBe(0)
    expect((await client.get('/v2/cli/app/manifests/v1')).status).toBe(200)
  })

  test('undelete moves a tag back to a digest that it had', async () => {
    const { client } = registry()
    const before = await pushOwnImage(client, 'cli/back', 'v1', 'before')
    await pushOwnImage(client, 'cli/back', 'v1', 'after')
    const digest = `--digest=${before.digest}`
    expect(await run(`undelete cli/back:v1 ${digest}`)).toMatchObject({ code: 0, errors: '' })
    expect((await client.get('/v2/cli/back/manifests/v1')).text).toBe(before.body)
  })

  test('what is not understood is 2, what fails is 1 with one line', async () => {
    expect(await run('gc nonsense')).toMatchObject({ code: 2 })
    expect(await run('gc --nonsense')).toMatchObject({ code: 2 })
    expect(await run('gc apply none')).toMatchObject({
      code: 1,
      errors: 'fastregistry: there is no such plan',
    })
    expect(await run('tags no/such')).toMatchObject({ code: 1 })
    expect((await run('repos', 1)).errors).toContain('does not answer')
  })
})

describe('the commands on a store that nobody serves', () => {
  test('do the same work, and refuse a store that is in use', async () => {
    const registry = await startRegistry({ config })
    const client = new RegistryClient(registry.port)
    const image = await pushOwnImage(client, 'cli/app', 'v1', 'offline one')
    await pushOwnImage(client, 'cli/app', 'v2', 'offline two')
    client.close()
    const folder = await mkdtemp(join(tmpdir(), 'fastregistry-offline-'))
    const file = join(folder, 'config.yaml')
    const gc = { ...config.storage.gc, undelete_window: '1h' }
    await writeFile(file, stringify({ storage: { path: registry.storage, gc } }))
    const run = (line: string) => runHere(`${line} --config ${file}`)
    try {
      const busy = await run('repos')
      expect(busy.code).toBe(1)
      expect(busy.errors).toMatch(/--server URL/)
      await registry.terminate()
      expect((await run('repos')).out).toContain('cli/app')
      expect((await run('tags cli/app')).out).toMatch(/v1[\s\S]*v2/)
      expect((await run('gc explain cli/app:v1')).out).toMatch(/v1 +goes/)
      const plan = await run('gc --dry-run')
      expect(plan).toMatchObject({ code: 0, errors: '' })
      const id = /plan (\S+)/.exec(plan.out)![1]!
      expect((await run(`gc show ${id}`)).out).toContain('not one of the newest 1 tags')
      expect((await run(`gc apply ${id}`)).code).toBe(0)
      expect((await run('tags cli/app')).out).not.toContain('v1')
      expect((await run('undelete cli/app:v1')).code).toBe(0)
      expect((await run('copy cli/app:v1 cli/other:v1')).out).toContain(image.digest)
      await registry.restart()
      const again = new RegistryClient(registry.port)
      expect((await again.get('/v2/cli/other/manifests/v1')).text).toBe(image.body)
      expect((await again.get(`/v2/cli/app/blobs/${image.layer.digest}`)).status).toBe(200)
      again.close()
    } finally {
      await registry.stop()
      await rm(folder, { recursive: true, force: true })
    }
  })
})
