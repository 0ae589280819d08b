/**
 * @module Debian's `docker-registry` (CNCF distribution 2.8) as an upstream: a process of our own,
 * open or behind a token server of our own that signs as the token specification wants it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createPrivateKey, randomUUID, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'

const tlsFolder = new URL('./tls/', import.meta.url)

export interface PeerRegistry {
  readonly url: string
  /** Where its passwords go; undefined for an open registry. */
  readonly tokenServer: string | undefined
  /** Tokens given out so far, by scope; always empty for an open registry. */
  readonly scopes: readonly string[]
  stop(): Promise<void>
}

export interface PeerOptions {
  /** The program: `docker-registry`, or distribution's `registry`. */
  readonly command: string
  readonly user?: { readonly name: string; readonly password: string }
}

export async function startPeer({ command, user }: PeerOptions): Promise<PeerRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'fastregistry-peer-'))
  const port = await freePort()
  const scopes: string[] = []
  const tokens = user === undefined ? undefined : await startTokenServer(user, scopes)
  const config = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') } },
    http: { addr: `127.0.0.1:${port}` },
    ...(tokens === undefined
      ? {}
      : {
          auth: {
            token: {
              realm: `${tokens.url}/token`,
              service: 'peer',
              issuer: 'test',
              rootcertbundle: new URL('cert.pem', tlsFolder).pathname,
            },
          },
        }),
  }
  await writeFile(join(folder, 'config.yml'), stringify(config))
  const child = spawn(command, ['serve', join(folder, 'config.yml')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'], OTEL_TRACES_EXPORTER: 'none' },
  })
  const url = `http://127.0.0.1:${port}`
  await untilUp(url, child)
  return {
    url,
    tokenServer: tokens?.url,
    scopes,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await ended
      tokens?.server.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function startTokenServer(
  user: NonNullable<PeerOptions['user']>,
  scopes: string[],
): Promise<{ url: string; server: Server }> {
  const wanted = `Basic ${Buffer.from(`${user.name}:${user.password}`).toString('base64')}`
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://x')
    if (request.headers.authorization !== wanted) {
      response.writeHead(401, { 'Content-Type': 'application/json' }).end('{"details":"bad login"}')
      return
    }
    const asked = url.searchParams.getAll('scope')
    scopes.push(...asked)
    const token = signToken(asked, url.searchParams.get('service') ?? '')
    response.writeHead(200, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify({ token, expires_in: 60 }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}`, server }
}

function signToken(scopes: readonly string[], service: string): string {
  const key = createPrivateKey(readFileSync(new URL('key.pem', tlsFolder)))
  const pem = readFileSync(new URL('cert.pem', tlsFolder), 'utf8')
  const [, base64 = ''] = /-----BEGIN CERTIFICATE-----([^-]+)-----END/.exec(pem) ?? []
  const der = base64.replace(/\s/g, '')
  const isEc = key.asymmetricKeyType === 'ec'
  const now = Math.floor(Date.now() / 1000)
  const access = scopes.map((scope) => {
    const [type, name, actions = ''] = scope.split(':')
    return { type, name, actions: actions.split(',') }
  })
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = part({ typ: 'JWT', alg: isEc ? 'ES256' : 'RS256', x5c: [der] })
  const body = part({
    iss: 'test',
    sub: 'team',
    aud: service,
    exp: now + 60,
    nbf: now - 10,
    iat: now,
    jti: randomUUID(),
    access,
  })
  const signature = sign('sha256', Buffer.from(`${head}.${body}`), {
    key,
    ...(isEc ? { dsaEncoding: 'ieee-p1363' as const } : {}),
  })
  return `${head}.${body}.${signature.toString('base64url')}`
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createTcpServer()
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

async function untilUp(url: string, child: ChildProcess): Promise<void> {
  let log = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4000)
  })
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`the peer ended: ${log}`)
    const isUp = await fetch(`${url}/v2/`).then(
      () => true,
      () => false,
    )
    if (isUp) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`the peer did not get ready: ${log}`)
}
