/**
 * @module A mesh in the place of one registry: several processes behind a balancer without a memory, with the face
 * of `start-registry.ts`. A kill is one of all nodes at once, as of a room that loses its power.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { RegistryOptions, RunningRegistry } from '../start-registry.ts'
import { haveRoles, MeshProcess, meshPorts, poll } from './nodes.ts'
import { RoundRobin } from './round-robin.ts'

/** In front of all nodes, on 127.0.0.1. */
interface Balancer {
  readonly port: number
  close(): Promise<void>
}

/** Resolves when all nodes vote in etcd, serve, and reach each other. */
export async function startBalanced(
  options: RegistryOptions,
  count: number,
): Promise<RunningRegistry> {
  const work = await mkdtemp(join(tmpdir(), 'fastregistry-nodes-'))
  const storage = options.storage ?? work
  const { storage: kept, ...config } = configOf(options)
  // The limit for rows has another name in a mesh.
  const { inline_limit: inlineLimit, ...rest } = section(kept)
  const ports = await meshPorts(count)
  const mesh = {
    ...section(config['mesh']),
    ...(inlineLimit === undefined ? {} : { inline_limit: inlineLimit }),
    peers: ports.map((port) => `127.0.0.1:${port}`),
  }
  const nodes = await Promise.all(
    ports.map(async (port, at) => {
      const folder = join(storage, `n${at + 1}`)
      await mkdir(folder, { recursive: true })
      const { engine, env } = options
      const own = { mesh, config: { ...config, storage: rest }, storage: folder }
      const more = { ...(engine && { engine }), ...(env && { env }) }
      return MeshProcess.start(port, { ...own, ...more })
    }),
  )
  const serve = async () => (isSecure(config) ? undefined : areReady(nodes))
  await serve()
  const clientPorts = nodes.map(({ client }) => client.port)
  const balancer = isSecure(config)
    ? await balanceConnections(clientPorts)
    : await RoundRobin.over(clientPorts)
  const all = <T>(run: (node: MeshProcess) => Promise<T>) => Promise.all(nodes.map(run))
  const host = '127.0.0.1'
  return {
    url: `http://${host}:${balancer.port}`,
    address: `${host}:${balancer.port}`,
    host,
    port: balancer.port,
    storage,
    storages: nodes.map((node) => node.storage),
    get pid() {
      return nodes[0]!.pid
    },
    logs: () => nodes.flatMap(({ logs }) => logs),
    async stop() {
      const codes = await all((node) => node.terminate())
      await balancer.close()
      await all((node) => node.dispose())
      await rm(work, { recursive: true, force: true })
      return worstOf(codes)
    },
    terminate: async () => worstOf(await all((node) => node.terminate())),
    ended: () => Promise.race(nodes.map((node) => node.ended())),
    kill9: async () => void (await all((node) => node.kill())),
    async restart() {
      await all((node) => node.restart())
      await serve()
    },
  }
}

/** Where an administrator has to log in, the roles in etcd are not asked for. */
async function areReady(nodes: readonly MeshProcess[]): Promise<void> {
  const { status } = await nodes[0]!.client.get('/admin/mesh')
  if (status === 200) return haveRoles(nodes)
  for (const { client } of nodes) {
    await poll(async () => (await client.get('/readyz')).status === 200)
  }
}

function configOf({ config }: RegistryOptions): Record<string, unknown> {
  return section(typeof config === 'string' ? (parse(config) as unknown) : config)
}

function section(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function isSecure(config: Record<string, unknown>): boolean {
  return Object.keys(section(section(config['server'])['tls'])).length > 0
}

function worstOf(codes: readonly (number | null)[]): number | null {
  return codes.find((code) => code !== 0) ?? 0
}

/** Each connection goes to the next node: what is inside is not to be read. */
async function balanceConnections(ports: readonly number[]): Promise<Balancer> {
  let count = 0
  const open = new Set<Socket>()
  const server: Server = createServer((from) => {
    const to = connect(ports[count++ % ports.length]!, '127.0.0.1')
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      open.add(one)
      one.pipe(other)
      one.on('error', () => other.destroy())
      one.on('close', () => open.delete(one) && other.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    async close() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
