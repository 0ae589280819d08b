/**
 * @module Passwords that are guessed at the nodes of a mesh in turn: all of them together give as many tries as one.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { loginsPath } from '../../src/mesh/peers/logins.ts'
import { basic, htpasswd } from '../support/access.ts'
import { until } from '../support/in-process.ts'
import { clientOf } from '../support/mesh/blob-files.ts'
import { useEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'

const etcd = useEtcd()
const names = ['alice', 'bob', 'carol', 'dave']

let folder: string
let users: string
let meshes = 0

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fastregistry-users-'))
  users = join(folder, 'users')
  writeFileSync(users, htpasswd(Object.fromEntries(names.map((name) => [name, 'secret']))))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function threeNodes(): Promise<MeshRegistries> {
  meshes += 1
  const log = { endpoints: etcd().endpoints, cluster: `logins-${meshes}` }
  const mesh = await MeshRegistries.start(log, 3, {
    engines: ['uws', 'node'],
    config: { auth: { type: 'htpasswd', htpasswd_file: users } },
  })
  onTestFinished(() => mesh.stop())
  await until(() => [1, 2, 3].every((member) => mesh.peers(member).links.open.length === 2))
  return mesh
}

let guesses = 0
async function guess(mesh: MeshRegistries, at: number, name: string): Promise<number> {
  guesses += 1
  return (await clientOf(mesh, at).get('/v2/', basic(name, `wrong ${guesses}`))).status
}

async function login(mesh: MeshRegistries, at: number, name: string): Promise<number> {
  return (await clientOf(mesh, at).get('/v2/', basic(name, 'secret'))).status
}

test('who guesses at all nodes in turn has to wait at all of them', async () => {
  const mesh = await threeNodes()
  const judged: number[] = []
  let refused = 0
  for (let at = 0; refused < 3; at = (at + 1) % 3) {
    const status = await guess(mesh, at, 'alice')
    expect([401, 503]).toContain(status)
    if (status === 401) judged.push(at)
    refused = status === 503 ? refused + 1 : 0
    // One node alone gives twenty, and one more in two seconds; three that do not know of each other give sixty.
    expect(judged.length).toBeLessThan(40)
  }
  expect(new Set(judged).size).toBe(3)
  expect(mesh.peerFaults).toEqual([])
})

test('a good login at one node makes good at all what has failed before', async () => {
  const mesh = await threeNodes()
  for (let time = 0; time < 17; time += 1) expect(await guess(mesh, 0, 'bob')).toBe(401)
  expect(await login(mesh, 0, 'bob')).toBe(200)
  // Seventeen and twelve are more than one may have.
  for (let time = 0; time < 12; time += 1) expect(await guess(mesh, 1, 'bob')).toBe(401)
  expect(await login(mesh, 2, 'bob')).toBe(200)
})

test('a node that does not answer holds up no login', async () => {
  const mesh = await threeNodes()
  for (const member of [2, 3]) mesh.peers(member).dropRoute(loginsPath)
  for (let time = 0; time < 5; time += 1) expect(await guess(mesh, 0, 'carol')).toBe(401)
  expect(await login(mesh, 0, 'carol')).toBe(200)
  await mesh.cutOff(2)
  for (let time = 0; time < 5; time += 1) expect(await guess(mesh, 0, 'carol')).toBe(401)
  expect(await login(mesh, 0, 'carol')).toBe(200)
})

test('messages that are not understood to the last byte are refused', async () => {
  const mesh = await threeNodes()
  const client = mesh.peers(1).client(2)
  const good = { is: 'failed', name: 'dave', client: '127.0.0.1', count: 1 }
  for (const logins of [
    [{ ...good, is: 'known' }],
    [{ ...good, count: 0 }],
    [{ ...good, count: 1_001 }],
    [{ ...good, name: 'x'.repeat(257) }],
    [{ ...good, client: 'x'.repeat(65) }],
    [{ ...good, more: 1 }],
    Array.from({ length: 501 }, () => good),
    {},
  ]) {
    const asked = client.open('POST', loginsPath)
    const status = await new Promise<number | undefined>((resolve, reject) => {
      asked.on('error', reject)
      asked.on('response', (answer) => resolve(answer.resume().statusCode))
      asked.end(JSON.stringify({ logins }))
    })
    expect([JSON.stringify(logins).slice(0, 80), status]).toEqual([expect.anything(), 400])
  }
  expect(await login(mesh, 1, 'dave')).toBe(200)
})
