/**
 * Upstreams of every kind that a mirror is set in front of: another FastRegistry with TLS and tokens,
 * one behind a proxy, one that must not be asked too often; and what is fetched before anybody asks.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { main } from '../../../src/cli/main.ts'
import type { Terminal } from '../../../src/cli/terminal.ts'
import { basic, htpasswd } from '../../support/access.ts'
import { Authority } from '../../support/certificates.ts'
import { FAULTS, FaultyUpstream } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess, until } from '../../support/in-process.ts'
import {
  type Answer,
  errorsOf,
  imageIndex,
  imageManifest,
  RegistryClient,
  sha256,
  someBytes,
} from '../../support/registry-client.ts'

/** The schedules that were started: their work is done when the test says so. */
const { scheduled } = vi.hoisted(() => ({ scheduled: new Map<string, () => Promise<void>>() }))
vi.mock(import('../../../src/runtime/schedule.ts'), async (original) => ({
  ...(await original()),
  startSchedule: (expression: string, work: () => Promise<void>) => {
    scheduled.set(expression, work)
    return { next: undefined, stop: () => scheduled.delete(expression) }
  },
}))

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-upstreams-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

async function makeUpstream(): Promise<FaultyUpstream> {
  const upstream = new FaultyUpstream()
  await upstream.start()
  open.push(() => upstream.stop())
  return upstream
}

async function mirrorOf(url: string, settings: object = {}): Promise<InProcessRegistry> {
  const registry = await startInProcess({
    engine: 'uws',
    mirrors: [{ name: 'hub', upstream: url, ...settings }],
  })
  open.push(() => dispose(registry))
  return registry
}

const config = {
  mediaType: 'application/vnd.oci.image.config.v1+json',
  digest: sha256('{}'),
  size: 2,
}
const layer = someBytes(700_000, 3)

function manifestOf(seed: string): string {
  const layers = [
    { mediaType: 'application/x-layer', digest: sha256(layer), size: layer.byteLength },
  ]
  return JSON.stringify(imageManifest(config, layers, { annotations: { seed } }))
}

const failureOf = (answer: Answer) =>
  (errorsOf(answer)[0]?.detail as { failure?: string } | undefined)?.failure

const manifestType = { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' }

describe('another FastRegistry with TLS and tokens', () => {
  const authority = new Authority(folder)
  const pair = authority.issue('upstream', 'DNS:localhost,IP:127.0.0.1')
  const users = join(folder, 'htpasswd')
  writeFileSync(users, htpasswd({ team: 'secret', other: 'other-secret' }))

  async function startUpstream(): Promise<InProcessRegistry> {
    const upstream = await startInProcess({
      engine: 'uws',
      config: {
        server: { also_listen: '127.0.0.1:0', tls: pair },
        auth: { type: 'htpasswd', htpasswd_file: users, tokens: {} },
        access: [{ repositories: ['team/**'], users: ['team'], actions: ['pull', 'push', 'list'] }],
      },
    })
    open.push(() => dispose(upstream))
    // Filled by the back door, which has no TLS.
    const client = new RegistryClient(upstream.ports[1]!)
    const login = basic('team', 'secret')
    for (const bytes of [layer, Buffer.from('{}')]) {
      const path = `/v2/team/app/blobs/uploads/?digest=${sha256(bytes)}`
      const pushed = await client.request('POST', path, { body: bytes, headers: login })
      expect(pushed.status).toBe(201)
    }
    const put = await client.request('PUT', '/v2/team/app/manifests/v1', {
      body: manifestOf('v1'),
      headers: { ...login, ...manifestType },
    })
    expect(put.status).toBe(201)
    client.close()
    return upstream
  }

  test('is pulled through with its certificate authority and a user', async () => {
    const upstream = await startUpstream()
    const mirror = await mirrorOf(`https://127.0.0.1:${upstream.port}`, {
      ca: authority.cert,
      credentials: [{ username: 'team', password: 'secret' }],
    })
    const manifest = await mirror.client.get('/v2/hub/team/app/manifests/v1')
    expect(manifest.text).toBe(manifestOf('v1'))
    const blob = await mirror.client.get(`/v2/hub/team/app/blobs/${sha256(layer)}`)
    expect(sha256(blob.body)).toBe(sha256(layer))
    const part = await mirror.client.get(`/v2/hub/team/app/blobs/${config.digest}`, {
      Range: 'bytes=1-1',
    })
    expect([part.status, part.text]).toEqual([206, '}'])
    const tags = await mirror.client.get('/v2/hub/team/app/tags/list')
    expect(tags.json).toEqual({ name: 'hub/team/app', tags: ['v1'] })
  })

  test('is refused without its authority, or to a user who may not pull', async () => {
    const upstream = await startUpstream()
    const url = `https://127.0.0.1:${upstream.port}`
    const strange = await mirrorOf(url)
    const blob = `/v2/hub/team/app/blobs/${sha256(layer)}`
    const unknown = await strange.client.get(blob)
    expect(unknown.status).toBe(502)
    expect(failureOf(unknown)).toBe('tls')
    const other = await mirrorOf(url, {
      ca: authority.cert,
      credentials: [{ username: 'other', password: 'other-secret' }],
    })
    const denied = await other.client.get(blob)
    // Its password is right: what it may not see is not there.
    expect(denied.status).toBe(404)
    expect(failureOf(denied)).toBe('hidden')
    const wrong = await mirrorOf(url, {
      ca: authority.cert,
      credentials: [{ username: 'other', password: 'no-secret' }],
    })
    const refused = await wrong.client.get(blob)
    expect(refused.status).toBe(502)
    expect(failureOf(refused)).toBe('auth')
    expect(await other.blobFiles()).toEqual([])
  })
})

describe('a proxy', () => {
  /** Tunnels, and remembers where to. */
  async function startProxy(): Promise<{ url: string; targets: string[]; server: Server }> {
    const targets: string[] = []
    const server = createHttpServer((_request, response) => response.writeHead(405).end())
    server.on('connect', (request, socket) => {
      targets.push(request.url ?? '')
      const [host, port] = (request.url ?? '').split(':')
      const upstream = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        upstream.pipe(socket).pipe(upstream)
      })
      for (const end of [upstream, socket]) {
        end.on('error', () => {
          upstream.destroy()
          socket.destroy()
        })
      }
      open.push(async () => {
        upstream.destroy()
        socket.destroy()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    open.push(() => new Promise((resolve) => server.close(resolve)))
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, targets, server }
  }

  test('carries manifests and blobs alike', async () => {
    const upstream = await makeUpstream()
    upstream.addManifest('app', 'v1', manifestOf('v1'))
    upstream.addBlob('app', layer)
    const proxy = await startProxy()
    const mirror = await mirrorOf(upstream.url, { proxy: proxy.url })
    expect((await mirror.client.get('/v2/hub/app/manifests/v1')).text).toBe(manifestOf('v1'))
    const blob = await mirror.client.get(`/v2/hub/app/blobs/${sha256(layer)}`)
    expect(sha256(blob.body)).toBe(sha256(layer))
    expect(new Set(proxy.targets)).toEqual(new Set([new URL(upstream.url).host]))
    expect(upstream.count('GET', '/v2/app/')).toBe(2)
  })

  test('that is not there is a 502, not a way around it', async () => {
    const upstream = await makeUpstream()
    upstream.addManifest('app', 'v1', manifestOf('v1'))
    const mirror = await mirrorOf(upstream.url, { proxy: 'http://127.0.0.1:1' })
    const answer = await mirror.client.get('/v2/hub/app/manifests/v1')
    expect(answer.status).toBe(502)
    expect(failureOf(answer)).toBe('refused')
    expect(upstream.asked).toEqual([])
  })
})

describe('limits', () => {
  test('on bytes a second hold back the blob, not the answers about it', async () => {
    const upstream = await makeUpstream()
    const bytes = someBytes(3_000_000, 7)
    upstream.addBlob('app', bytes)
    const mirror = await mirrorOf(upstream.url, { limits: { bytes_per_second: '1MB' } })
    const started = performance.now()
    const path = `/v2/hub/app/blobs/${sha256(bytes)}`
    const pulling = mirror.client.get(path).then((answer) => {
      expect(sha256(answer.body)).toBe(sha256(bytes))
      return performance.now() - started
    })
    await until(() => upstream.count('GET', '/blobs/') === 1)
    expect((await mirror.client.head(path)).headers['content-length']).toBe('3000000')
    const asked = performance.now() - started
    const pulled = await pulling
    // One second's worth is saved up; the rest takes two.
    expect(pulled).toBeGreaterThan(1_500)
    expect(asked).toBeLessThan(pulled)
  })

  test('on requests a second make them wait, and none is lost', async () => {
    const upstream = await makeUpstream()
    const tags = Array.from({ length: 9 }, (_, index) => `v${index}`)
    for (const tag of tags) upstream.addManifest('app', tag, manifestOf(tag))
    const mirror = await mirrorOf(upstream.url, { limits: { requests_per_second: 4 } })
    const started = performance.now()
    const answers = await Promise.all(
      tags.map((tag) => mirror.client.get(`/v2/hub/app/manifests/${tag}`)),
    )
    expect(answers.map(({ text }) => text)).toEqual(tags.map(manifestOf))
    expect(performance.now() - started).toBeGreaterThan(1_000)
  })

  test('on connections leave the rest waiting in line', async () => {
    const upstream = await makeUpstream()
    let atOnce = 0
    let most = 0
    upstream.fault = (_request, response) => {
      atOnce += 1
      most = Math.max(most, atOnce)
      response.on('close', () => {
        atOnce -= 1
      })
      return false
    }
    const blobs = Array.from({ length: 6 }, (_, index) => someBytes(200_000, index + 30))
    for (const bytes of blobs) upstream.addBlob('app', bytes)
    const mirror = await mirrorOf(upstream.url, { limits: { connections: 2 } })
    const answers = await Promise.all(
      blobs.map((bytes) => mirror.client.get(`/v2/hub/app/blobs/${sha256(bytes)}`)),
    )
    expect(answers.map(({ body }) => sha256(body))).toEqual(blobs.map((bytes) => sha256(bytes)))
    expect(most).toBeLessThanOrEqual(2)
  })
})

describe('fetched before anybody asks', () => {
  async function multiArch(): Promise<FaultyUpstream> {
    const upstream = await makeUpstream()
    const child = (architecture: string) => {
      const digest = upstream.addManifest('app', undefined, manifestOf(architecture))
      return {
        mediaType: manifestType['Content-Type'],
        digest,
        size: manifestOf(architecture).length,
        platform: { os: 'linux', architecture },
      }
    }
    upstream.addManifest('app', 'multi', imageIndex([child('amd64'), child('s390x')]))
    upstream.addBlob('app', layer)
    upstream.addBlob('app', Buffer.from('{}'))
    return upstream
  }

  test('an index brings the manifests of the wanted platforms with it, and no others', async () => {
    const upstream = await multiArch()
    const mirror = await mirrorOf(upstream.url, { prefetch: ['linux/amd64'] })
    await mirror.client.get('/v2/hub/app/manifests/multi')
    await until(() => upstream.count('GET', sha256(manifestOf('amd64'))) === 1)
    await mirror.client.get('/v2/hub/app/manifests/multi')
    expect(upstream.count('GET', sha256(manifestOf('s390x')))).toBe(0)
    await upstream.stop()
    await until(
      async () =>
        (await mirror.client.get(`/v2/hub/app/manifests/${sha256(manifestOf('amd64'))}`)).status ===
        200,
    )
  })

  test('warming takes along what is attached to an image, both ways, and what is attached to that', async () => {
    const upstream = await multiArch()
    const image = upstream.addManifest('app', 'v1', manifestOf('signed'))
    const signature = Buffer.from('a signature')
    upstream.addBlob('app', signature)
    const layers = (mediaType: string) => [
      { mediaType, digest: sha256(signature), size: signature.byteLength },
    ]
    const cosign = layers('application/vnd.dev.cosign.simplesigning.v1+json')
    const tagOf = (digest: string) => `${digest.replace(':', '-')}.sig`
    upstream.addManifest('app', tagOf(image), imageManifest(config, cosign))
    const subject = {
      mediaType: manifestType['Content-Type'],
      digest: image,
      size: manifestOf('signed').length,
    }
    const sbom = JSON.stringify(imageManifest(config, layers('application/spdx+json'), { subject }))
    const referrer = upstream.addManifest('app', undefined, sbom)
    upstream.addReferrers('app', image, [
      { mediaType: manifestType['Content-Type'], digest: referrer, size: sbom.length },
    ])
    // The SBOM is signed itself.
    upstream.addManifest(
      'app',
      tagOf(referrer),
      imageManifest(config, cosign, { annotations: { of: 'the SBOM' } }),
    )
    const mirror = await mirrorOf(upstream.url, {
      warm: { schedule: '8 5 * * *', references: ['app:v1'] },
    })
    await scheduled.get('8 5 * * *')!()
    const line = mirror.logLines.find((it) => it.includes('"warmed"'))
    expect(JSON.parse(line!)).toMatchObject({ mirror: 'hub', warmed: 1 })
    await upstream.stop()
    for (const tail of [
      'manifests/v1',
      `manifests/${tagOf(image)}`,
      `manifests/${referrer}`,
      `manifests/${tagOf(referrer)}`,
      `blobs/${sha256(signature)}`,
    ]) {
      expect((await mirror.client.get(`/v2/hub/app/${tail}`)).status, tail).toBe(200)
    }
    const { json } = await mirror.client.get(`/v2/hub/app/referrers/${image}`)
    expect(json).toMatchObject({ manifests: [{ digest: referrer }] })
  })

  test('a schedule warms images whole, so that upstream may be gone', async () => {
    const upstream = await multiArch()
    const mirror = await mirrorOf(upstream.url, {
      prefetch: ['linux/amd64'],
      warm: { schedule: '7 5 * * *', references: ['app:multi', 'app:absent'] },
    })
    await scheduled.get('7 5 * * *')!()
    const line = mirror.logLines.find((it) => it.includes('"warmed"'))
    expect(JSON.parse(line!)).toMatchObject({ mirror: 'hub', warmed: 1 })
    await upstream.stop()
    for (const tail of [
      'manifests/multi',
      `manifests/${sha256(manifestOf('amd64'))}`,
      `blobs/${sha256(layer)}`,
      `blobs/${config.digest}`,
    ]) {
      expect((await mirror.client.get(`/v2/hub/app/${tail}`)).status, tail).toBe(200)
    }
    const other = await mirror.client.get(`/v2/hub/app/manifests/${sha256(manifestOf('s390x'))}`)
    expect(other.status).toBe(502)
  })
})

describe('on the command line', () => {
  async function run(...args: string[]): Promise<{ code: number; lines: string[] }> {
    const lines: string[] = []
    let exit: (code: number) => void = () => undefined
    const exited = new Promise<number>((resolve) => {
      exit = resolve
    })
    const terminal = {
      environment: {},
      print: (line: string) => lines.push(line),
      printError: (line: string) => lines.push(line),
      exit,
    } as unknown as Terminal
    const code = await Promise.race([main(args, terminal), exited])
    return { code: code as number, lines }
  }

  function configure(text: string): string {
    const file = join(folder, `${sha256(text).slice(7, 19)}.yaml`)
    writeFileSync(file, text)
    return file
  }

  test('check-config --probe says of each upstream whether it lets us in', async () => {
    const good = await makeUpstream()
    const closed = await makeUpstream()
    closed.fault = FAULTS.unauthorized
    const page = await makeUpstream()
    page.fault = FAULTS.html
    const gone = await makeUpstream()
    await gone.stop()
    const text = `mirrors:
  - { name: a, upstream: ["${good.url}", "${gone.url}"] }
  - { name: b, upstream: "${closed.url}", credentials: [{ username: u, password: p }] }
  - { name: c, upstream: "${page.url}" }
`
    const { code, lines } = await run('check-config', configure(text), '--probe')
    expect(code).toBe(1)
    const said = (url: string) => lines.find((line) => line.includes(url))
    expect(said(good.url)).toMatch(/: ok$/)
    expect(said(gone.url)).toMatch(/refused/)
    expect(said(closed.url)).toMatch(/refuses the credentials \(401\)/)
    expect(said(page.url)).toMatch(/a web page/)
    const fine = configure(`mirrors: [{ name: a, upstream: "${good.url}" }]\n`)
    expect((await run('check-config', fine, '--probe')).code).toBe(0)
    expect(good.asked.every(({ url }) => url === '/v2/')).toBe(true)
  })

  test('mirror-config prints snippets, and says so where there is no mirror', async () => {
    const file = configure(
      'mirrors: [{ name: docker.io, upstream: "https://a.test", root: true }]\n',
    )
    const { code, lines } = await run('mirror-config', '--config', file, '--address', 'r:5000')
    expect(code).toBe(0)
    for (const client of ['docker', 'containerd', 'podman', 'buildkit', 'k3s']) {
      expect(lines.join('\n')).toContain(`# docker.io for ${client}: `)
    }
    const none = await run('mirror-config', '--config', configure('mirrors: []\n'))
    expect(none.code).toBe(1)
    expect(none.lines.join('\n')).toMatch(/configures no mirrors/)
  })
})
