/**
 * @module A `docker push` that a restart of the registry interrupts succeeds by the client's own
 * retry, and what it pushed is whole.
 */
import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { randomLayer, writeImage } from '../support/random-image.ts'
import { type Daemon, startDaemon } from './support/daemon.ts'
import { writeDockerArchive } from './support/docker-archive.ts'
import { clientSession } from './support/session.ts'
import { obstacleTo } from './support/tools.ts'
import { readWhole } from './support/wire.ts'

const TOOLS = ['docker', 'dockerd', 'containerd'] as const

const session = clientSession(...TOOLS)
let daemon: Daemon | undefined
const { own } = session
const onSocket = (args: readonly string[]) => ['--host', `unix://${own('docker.sock')}`, ...args]
const docker = async (...args: string[]) =>
  (await session.run('docker', ...onSocket(args))).stdout.trim()

beforeAll(async () => {
  if (TOOLS.some(obstacleTo)) return
  await writeFile(own('daemon.json'), '{"features":{"containerd-snapshotter":false}}')
  const folders = ['--data-root', own('data'), '--exec-root', own('exec'), '--pidfile', own('pid')]
  const network = ['--bridge', 'none', '--iptables=false', '--ip6tables=false']
  const rest = ['--config-file', own('daemon.json'), '--storage-driver', 'vfs']
  const args = onSocket([...folders, ...network, ...rest])
  daemon = await startDaemon(session, 'dockerd', args, ['docker', ...onSocket(['version'])])
})
afterAll(() => daemon?.stop())

test('docker push goes through a restart of the registry', async () => {
  const { process: registry } = session.target
  expect(registry, 'the registry runs in a process of its own').toBeDefined()
  const reference = session.at('docker/restarted:v1')
  const layers = []
  for (let seed = 1; seed <= 3; seed += 1) {
    layers.push(await randomLayer(session.folder, 60_000_000, 900 + seed))
  }
  const layout = await writeImage(session.folder, own('restarted'), layers)
  await docker('load', '--input', await writeDockerArchive(session, layout, reference))
  const pushing = docker('push', reference)
  // Once bytes are on their way, not before.
  await expect
    .poll(
      async () => {
        const { openUploads } = (await (await fetch(`${registry!.url}/admin/status`)).json()) as {
          openUploads: number
        }
        return openUploads
      },
      { timeout: 60_000, interval: 20 },
    )
    .toBeGreaterThan(0)
  expect(await registry!.terminate()).toBe(0)
  await registry!.restart()
  const pushed = /digest: (sha256:[0-9a-f]{64})/.exec(await pushing)?.[1]
  const stored = await readWhole(session.target, 'docker/restarted', 'v1')
  expect(stored.digest).toBe(pushed)
})
