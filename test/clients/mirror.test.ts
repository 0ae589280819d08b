/**
 * @module Real clients through a mirror, each in its own dialect, and real registries behind one:
 * what arrives has the digests of what is upstream.
 */

import { mkdir, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningRegistry, startRegistry } from '../support/start-registry.ts'
import { type PeerRegistry, startPeer } from '../support/token-registry.ts'
import { startDaemon } from './support/daemon.ts'
import { digestsOf, readLayout } from './support/layout.ts'
import { clientSession } from './support/session.ts'
import { hasTool, need, obstacleTo, skipLoudly } from './support/tools.ts'
import { putLayout, readManifest } from './support/wire.ts'

const session = clientSession('crane')
const { own } = session
let mirror: RunningRegistry | undefined

const open = async (upstream: string, settings: Readonly<Record<string, unknown>> = {}) =>
  startRegistry({
    config: { mirrors: [{ name: 'docker.io', upstream, root: true, ...settings }] },
  })

beforeAll(async () => {
  if (obstacleTo('crane')) return
  await putLayout(session.target, 'library/app', 'multi', session.images.multiArch)
  await putLayout(session.target, 'library/app', 'v1', session.images.emptyLayer)
  mirror = await open(session.target.url)
})
afterAll(() => mirror?.stop())

const through = () => mirror!.address

describe('clients', () => {
  test('crane pulls an index with every platform byte for byte', async () => {
    const { multiArch } = session.images
    await session.run(
      'crane',
      '--insecure',
      'pull',
      '--format=oci',
      `${through()}/docker.io/app:multi`,
      own('crane'),
    )
    const back = await readLayout(own('crane'))
    expect(back.digest).toBe(multiArch.digest)
    expect(back.blobs).toEqual(digestsOf(multiArch))
  })

  test('skopeo copies from it', async (context) => {
    need(context, 'skopeo')
    const { emptyLayer } = session.images
    const source = `docker://${through()}/docker.io/library/app:v1`
    const target = `oci:${own('skopeo')}:v1`
    await session.run(
      'skopeo',
      '--insecure-policy',
      'copy',
      '--src-tls-verify=false',
      source,
      target,
    )
    expect((await readLayout(own('skopeo'))).digest).toBe(emptyLayer.digest)
  })

  test('containerd pulls through hosts.toml, with ns', async (context) => {
    need(context, 'ctr', 'containerd')
    await mkdir(own('certs.d/docker.io'), { recursive: true })
    const hosts = `server = "http://127.0.0.1:1"\n[host."${mirror!.url}"]\n  capabilities = ["pull", "resolve"]\n`
    await writeFile(own('certs.d/docker.io/hosts.toml'), hosts)
    const config = [
      'version = 2',
      `root = "${own('c-root')}"`,
      `state = "${own('c-state')}"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      `grpc = { address = "${own('c.sock')}" }`,
      `ttrpc = { address = "${own('c.sock.ttrpc')}" }`,
    ]
    await writeFile(own('c.toml'), config.join('\n'))
    const ctr = (...args: string[]) => session.run('ctr', '--address', own('c.sock'), ...args)
    const ready = ['ctr', '--address', own('c.sock'), 'version'] as const
    const daemon = await startDaemon(session, 'containerd', ['--config', own('c.toml')], [...ready])
    try {
      const reference = 'docker.io/library/app:multi'
      const hostsDir = ['--hosts-dir', own('certs.d')]
      await ctr('images', 'pull', ...hostsDir, '--snapshotter', 'native', reference)
      const { stdout } = await ctr('images', 'ls', `name==${reference}`)
      expect(stdout).toContain(session.images.multiArch.digest)
    } finally {
      await daemon.stop()
    }
  })

  test('docker pulls through registry-mirrors', async (context) => {
    need(context, 'docker', 'dockerd', 'containerd')
    await writeFile(
      own('daemon.json'),
      JSON.stringify({
        features: { 'containerd-snapshotter': false },
        'registry-mirrors': [mirror!.url],
      }),
    )
    const onSocket = (...args: string[]) => ['--host', `unix://${own('d.sock')}`, ...args]
    const folders = ['--data-root', own('d'), '--exec-root', own('de'), '--pidfile', own('pid')]
    const network = ['--bridge', 'none', '--iptables=false', '--ip6tables=false']
    const rest = ['--config-file', own('daemon.json'), '--storage-driver', 'vfs']
    const daemon = await startDaemon(
      session,
      'dockerd',
      onSocket(...folders, ...network, ...rest),
      ['docker', ...onSocket('version')],
    )
    try {
      await session.run('docker', ...onSocket('pull', '--quiet', 'app:v1'))
      const { stdout } = await session.run('docker', ...onSocket('image', 'inspect', 'app:v1'))
      expect(stdout).toContain(session.images.emptyLayer.digest)
    } finally {
      await daemon.stop()
    }
  })

  test.each(['podman', 'buildah'])('%s pulls through registries.conf', async (tool) => {
    const obstacle = obstacleTo(tool)
    if (obstacle !== undefined) return void process.stderr.write(`SKIPPED: ${obstacle}\n`)
    const conf = [
      '[[registry]]',
      'prefix = "docker.io"',
      'location = "127.0.0.1:1"',
      '[[registry.mirror]]',
      `location = "${through()}/docker.io"`,
      'insecure = true',
    ]
    await writeFile(own('registries.conf'), conf.join('\n'))
    const store = ['--root', own(`${tool}-root`), '--runroot', own(`${tool}-run`)]
    const env = ['env', `CONTAINERS_REGISTRIES_CONF=${own('registries.conf')}`]
    const [command, ...args] = [...env, tool, ...store, '--storage-driver', 'vfs']
    await session.run(command!, ...args, 'pull', '-q', 'docker.io/library/app:v1')
    const { stdout } = await session.run(command!, ...args, 'images', '--digests')
    expect(stdout).toContain(session.images.emptyLayer.digest)
  })
})

describe('registries behind a mirror', () => {
  const user = { name: 'team', password: 'secret' }
  const distribution = process.env['BENCH_PEERS'] ?? ''
  const peers: readonly (readonly [string, () => Promise<PeerRegistry>, string, boolean])[] = [
    ['docker-registry', () => startPeer({ command: 'docker-registry' }), 'docker-registry', false],
    [
      'docker-registry with tokens',
      () => startPeer({ command: 'docker-registry', user }),
      'docker-registry',
      true,
    ],
    [
      'distribution v3',
      () => startPeer({ command: `${distribution}/registry` }),
      'BENCH_PEERS',
      false,
    ],
  ]

  test.each(peers)('%s', async (_name, start, tool, hasTokens) => {
    const isThere = tool === 'BENCH_PEERS' ? distribution !== '' : hasTool(tool)
    if (!isThere || !hasTool('skopeo'))
      return void process.stderr.write(`SKIPPED: ${tool} is not there\n`)
    const peer = await start()
    const credentials = [
      { username: user.name, password: user.password, token_server: peer.tokenServer },
    ]
    const registry = await open(peer.url, hasTokens ? { credentials } : {})
    try {
      const { multiArch } = session.images
      const host = new URL(peer.url).host
      // crane refuses a token server at a loopback address, so skopeo pushes.
      const [source, target] = [`oci:${multiArch.folder}`, `docker://${host}/team/app:v1`]
      const login = hasTokens ? ['--dest-creds', `${user.name}:${user.password}`] : []
      const options = ['copy', '--all', '--dest-tls-verify=false', ...login]
      await session.run('skopeo', '--insecure-policy', ...options, source, target)
      const copy = own(`peer-${registry.port}`)
      const reference = `${registry.address}/docker.io/team/app:v1`
      await session.run('crane', '--insecure', 'pull', '--format=oci', reference, copy)
      const back = await readLayout(copy)
      expect(back.digest).toBe(multiArch.digest)
      expect(back.blobs).toEqual(digestsOf(multiArch))
      const tags = await fetch(`${registry.url}/v2/docker.io/team/app/tags/list`)
      expect(await tags.json()).toEqual({ name: 'docker.io/team/app', tags: ['v1'] })
      if (hasTokens) expect(peer.scopes).toContain('repository:team/app:pull')
      await peer.stop()
      const here = { address: registry.address, url: registry.url, process: registry } as never
      const { digest } = await readManifest(here, 'docker.io/team/app', 'v1')
      expect(digest).toBe(multiArch.digest)
    } finally {
      await registry.stop()
      await peer.stop().catch(() => undefined)
    }
  })

  test('referrers come through', async (context) => {
    const { artifact, multiArch } = session.images
    if (mirror === undefined) skipLoudly(context, 'crane is missing')
    await putLayout(session.target, 'library/signed', 'v1', multiArch)
    await putLayout(session.target, 'library/signed', 'artifact', artifact)
    const { body } = await readManifest(session.target, 'library/signed', 'artifact')
    const subject = (body as { subject?: { digest: string } }).subject!.digest
    const answer = await fetch(`${mirror.url}/v2/docker.io/signed/referrers/${subject}`)
    const { manifests } = (await answer.json()) as { manifests: { digest: string }[] }
    expect(manifests.map(({ digest }) => digest)).toEqual([artifact.digest])
    const pulled = await fetch(`${mirror.url}/v2/docker.io/signed/manifests/${artifact.digest}`)
    expect(pulled.status).toBe(200)
  })
})
