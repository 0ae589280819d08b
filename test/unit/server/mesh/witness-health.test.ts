/** What a witness says of itself, over real connections on 127.0.0.1. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WitnessHealth } from '../../../../src/server/mesh/witness/health.ts'

let isServing = true
let health: WitnessHealth
beforeEach(async () => {
  isServing = true
  health = await WitnessHealth.listen({ host: '127.0.0.1', port: 0 }, () => isServing)
})
afterEach(() => health.close())

const ask = (path: string, method = 'GET') =>
  fetch(`http://127.0.0.1:${health.port}${path}`, { method })

test('it lives, and is ready while its etcd serves', async () => {
  expect((await ask('/livez')).status).toBe(200)
  const ready = await ask('/readyz')
  expect([ready.status, await ready.json()]).toEqual([
    200,
    { status: 'ready', checks: { etcd: 'ok' } },
  ])
  isServing = false
  const other = await ask('/readyz')
  expect([other.status, ((await other.json()) as { status: string }).status]).toEqual([
    503,
    'not ready',
  ])
  expect((await ask('/livez', 'HEAD')).status).toBe(200)
  expect((await ask('/readyz', 'HEAD')).status).toBe(503)
})

test('it answers nothing else', async () => {
  for (const path of ['/', '/health', '/livez/', '/livez?x', '/v2/', '/admin/mesh', '/metrics']) {
    expect((await ask(path)).status, path).toBe(404)
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    expect((await ask('/readyz', method)).status, method).toBe(405)
  }
})

test.each([
  ['a long head', `GET /livez HTTP/1.1\r\nhost: x\r\na: ${'x'.repeat(20_000)}\r\n\r\n`, '431'],
  ['no HTTP', 'hello\r\n\r\n', '400'],
  [
    'a body that does not come',
    'POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n',
    '405',
  ],
])('%s ends its connection', async (_, text, status) => {
  const socket = connect(health.port, '127.0.0.1')
  let said = ''
  socket.on('data', (piece) => {
    said += String(piece)
  })
  socket.on('error', () => undefined)
  socket.write(text)
  await once(socket, 'close')
  expect(said.slice(0, 12)).toBe(`HTTP/1.1 ${status}`)
  expect((await ask('/livez')).status).toBe(200)
})

test('an address that is in use is named', async () => {
  const at = { host: '127.0.0.1', port: health.port }
  await expect(WitnessHealth.listen(at, () => true)).rejects.toThrow(
    `mesh.witness_addr: 127.0.0.1:${health.port} is in use by another process`,
  )
})
