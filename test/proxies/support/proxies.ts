/**
 * @module Proxies in front of a registry: nginx, haproxy and Caddy, with as little configuration as they
 * take ("as it comes") and with the fragments of docs/behind-a-proxy.md.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { projectRoot } from '../../support/start-registry.ts'

export type ProxyName = 'nginx' | 'haproxy' | 'caddy'
export type Settings = 'as it comes' | 'recommended'

export const PROXIES: readonly ProxyName[] = ['nginx', 'haproxy', 'caddy']

export interface RunningProxy {
  readonly port: number
  stop(): Promise<void>
}

/** Starts a proxy on a free port; resolves when it accepts connections. */
export async function startProxy(
  name: ProxyName,
  settings: Settings,
  registryPort: number,
  scheme: 'http' | 'https' = 'http',
): Promise<RunningProxy> {
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), `fastregistry-${name}-`))
  await mkdir(join(folder, 'temp'))
  const fragment = settings === 'recommended' ? await readFragment(name) : AS_IT_COMES[name]
  const text = WRAP[name](
    fragment
      .replaceAll('http://127.0.0.1:5000', `${scheme}://127.0.0.1:5000`)
      .replaceAll('127.0.0.1:5000', `127.0.0.1:${registryPort}`)
      .replaceAll('8080', `${port}`),
    folder,
  )
  const file = join(folder, 'proxy.conf')
  await writeFile(file, text)
  const [command, ...parameters] = COMMANDS[name](file)
  const child = spawn(command!, parameters, {
    cwd: folder,
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin`, HOME: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes: Buffer) => {
      lines.push(String(bytes))
      if (lines.length > 200) lines.shift()
    })
  }
  await untilAccepting(port, child, lines)
  return {
    port,
    async stop() {
      const ended = new Promise((resolve) => child.once('close', resolve))
      child.kill('SIGTERM')
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A block of the documentation, by the language of its fence. */
async function readFragment(name: ProxyName): Promise<string> {
  const text = await readFile(join(projectRoot(), 'docs/behind-a-proxy.md'), 'utf8')
  const fence = name === 'caddy' ? 'caddyfile' : name
  const start = text.indexOf(`\`\`\`${fence}\n`)
  if (start < 0) throw new Error(`the documentation has no fragment for ${name}`)
  const from = start + fence.length + 4
  return text.slice(from, text.indexOf('```', from))
}

const AS_IT_COMES: Readonly<Record<ProxyName, string>> = {
  nginx: 'server { listen 8080; location / { proxy_pass http://127.0.0.1:5000; } }\n',
  haproxy: [
    'defaults',
    '  mode http',
    '  timeout connect 5s',
    '  timeout client 75s',
    '  timeout server 75s',
    'frontend registry',
    '  bind 127.0.0.1:8080',
    '  default_backend registry',
    'backend registry',
    '  option httpchk',
    '  server registry 127.0.0.1:5000 check inter 500ms',
    '',
  ].join('\n'),
  caddy: 'http://127.0.0.1:8080 {\n  reverse_proxy 127.0.0.1:5000\n}\n',
}

const WRAP: Readonly<Record<ProxyName, (fragment: string, folder: string) => string>> = {
  nginx: (fragment, folder) =>
    [
      'daemon off;',
      // A worker with another account could not write to the folder.
      ...(process.getuid?.() === 0 ? ['user root;'] : []),
      'worker_processes 1;',
      `pid ${folder}/pid;`,
      'error_log stderr;',
      'worker_rlimit_nofile 16384;',
      'events { worker_connections 8192; }',
      'http {',
      '  access_log off;',
      ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (kind) => `  ${kind}_temp_path ${folder}/temp/${kind};`,
      ),
      fragment,
      '}',
      '',
    ].join('\n'),
  haproxy: (fragment) => `global\n  maxconn 8192\n${fragment}`,
  caddy: (fragment) => `{\n  admin off\n  auto_https off\n}\n${fragment}`,
}

const COMMANDS: Readonly<Record<ProxyName, (file: string) => readonly string[]>> = {
  nginx: (file) => ['nginx', '-e', 'stderr', '-c', file],
  haproxy: (file) => ['haproxy', '-db', '-f', file],
  caddy: (file) => ['caddy', 'run', '--adapter', 'caddyfile', '--config', file],
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen({ host: '127.0.0.1', port: 0 }, () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })
}

async function untilAccepting(port: number, child: ChildProcess, lines: string[]): Promise<void> {
  const deadline = performance.now() + 20_000
  for (;;) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    if (isOpen) return
    if (child.exitCode !== null || performance.now() > deadline) {
      child.kill('SIGTERM')
      throw new Error(`the proxy does not accept connections:\n${lines.join('')}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
