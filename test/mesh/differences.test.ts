/**
 * @module Nodes of a mesh that were not given the same by their operators: any of them says which ones, and shows
 * nothing of what they were given.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { basic, htpasswd } from '../support/access.ts'
import { runCli } from '../support/cli.ts'
import { needEtcd } from '../support/mesh/etcd.ts'
import { haveRoles, MeshProcess, meshPorts, poll } from '../support/mesh/nodes.ts'

needEtcd()

const nodes: MeshProcess[] = []
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.dispose()))
})

interface Difference {
  readonly what: string
  readonly given: readonly { readonly hash: string; readonly members: readonly number[] }[]
}

test('users and rules that differ are named with the nodes that have them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fastregistry-users-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const root = basic('root', 'secret')
  const ports = await meshPorts(3)
  const peers = ports.map((port) => `127.0.0.1:${port}`)
  const text = htpasswd({ root: 'secret' })
  const files = ['a', 'b', 'c'].map((name) => join(folder, name))
  const starting = ports.map(async (port, at) => {
    await writeFile(files[at]!, at === 2 ? `${text}${htpasswd({ more: 'secret' })}` : text)
    const rule = { repositories: ['**'], users: ['root'], actions: ['pull', 'admin'] }
    const access = at === 1 ? [rule, { ...rule, repositories: ['x/**'] }] : [rule]
    const auth = { type: 'htpasswd', htpasswd_file: files[at]! }
    return MeshProcess.start(port, { mesh: { peers }, config: { auth, access } })
  })
  const all = await Promise.all(starting)
  nodes.push(...all)
  await haveRoles(all, root)

  const said = async (at: number) => {
    const answer = await all[at]!.client.get('/admin/mesh', root)
    const { member, differences } = answer.json as { member: number; differences: Difference[] }
    return { member, differences, text: answer.text }
  }
  const numbers = await Promise.all([0, 1, 2].map(async (at) => (await said(at)).member))
  const [, b, c] = numbers as [number, number, number]
  const sets = ({ given }: Difference) =>
    given.map(({ members }) => members.toSorted().join(' ')).sort()
  const without = (member: number) =>
    numbers
      .filter((it) => it !== member)
      .sort()
      .join(' ')
  for (const at of [0, 1, 2]) {
    const { differences, text: whole } = await said(at)
    const users = differences.find(({ what }) => what === 'users')!
    const access = differences.find(({ what }) => what === 'access')!
    expect(differences).toHaveLength(2)
    expect(sets(users)).toEqual([String(c), without(c)].sort())
    expect(sets(access)).toEqual([String(b), without(b)].sort())
    expect(whole).not.toContain('$2')
    expect(whole).not.toContain('x/**')
  }
  vi.stubEnv('FASTREGISTRY_AUTH', 'root:secret')
  onTestFinished(() => {
    vi.unstubAllEnvs()
  })
  const server = `http://127.0.0.1:${all[0]!.client.port}`
  const shown = await runCli(['mesh', 'status', '--server', server])
  expect(shown.stdout).toContain('not the same on all nodes: users (nodes ')
  await writeFile(files[2]!, text)
  await poll(async () => {
    const { differences } = await said(0)
    return differences.length === 1 && differences[0]!.what === 'access'
  })
})
