/**
 * @module The gates of signature policies before real clients: what a refusal looks like at the user's, and that the same
 * push passes once the image is signed. And, where the registry has it, the gate of pulls.
 */

import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest'
import { htpasswd } from '../../support/access.ts'
import { type Daemon, startDaemon } from '../support/daemon.ts'
import { writeDockerArchive } from '../support/docker-archive.ts'
import { clientSession } from '../support/session.ts'
import { makeKeys, signArgs, takes } from '../support/signing.ts'
import { openTarget, type Target } from '../support/target.ts'
import { need, obstacleTo, skipLoudly } from '../support/tools.ts'
import { listTags, statusOf } from '../support/wire.ts'

const session = clientSession('cosign')
const { own } = session
let gated: Target
/** Where it has the gate of pulls. Its pushers have passwords: who may push may pull what is to be signed. */
let pulled: Target | undefined
const daemons: Daemon[] = []

const pusher = { name: 'ci', password: 'a-password' }
const require = [{ signature: { by: [{ key: 'p256' }] } }]

beforeAll(async () => {
  if (obstacleTo('cosign')) return
  const pems = await makeKeys(session)
  const keys = [{ name: 'p256', pem: pems.get('p256') }]
  const prod = { name: 'prod', repositories: ['prod/**'], tags: ['v*'], mode: 'enforce', require }
  gated = await openTarget({ config: { signing: { keys, policies: [prod] } } })
  const pulls = { ...prod, name: 'pulls', repositories: ['pulls/**'], gates: ['pull'] }
  const signing = { keys, policies: [{ ...pulls, tags: ['**'] }] }
  if (!(await takes({ signing }))) return
  await writeFile(own('htpasswd'), htpasswd({ [pusher.name]: pusher.password }))
  pulled = await openTarget({
    config: {
      signing,
      auth: { type: 'htpasswd', htpasswd_file: own('htpasswd') },
      access: [
        { repositories: ['**'], users: [pusher.name], actions: ['pull', 'push', 'list'] },
        { repositories: ['**'], anonymous: true, actions: ['pull'] },
      ],
    },
  })
})
afterAll(async () => {
  for (const daemon of daemons) await daemon.stop()
  await gated?.stop()
  await pulled?.stop()
})

const at = (name: string) => `${gated.address}/${name}`

/** The digest that a refusal names, which is the way to the signature. Some log it as a text in a text. */
const digestIn = (text: string) => {
  const plain = text.replaceAll('\\"', '"')
  expect(plain).toMatch(/signature policy "prod": nothing is signed on sha256:/)
  return /sha256:[0-9a-f]{64}/.exec(plain.slice(plain.indexOf('signature policy')))![0]
}

const sign = (repository: string, digest: string) =>
  session.run('cosign', 'sign', ...signArgs('cosign', 'p256'), `${at(repository)}@${digest}`)

/** Push, refused, sign, push: the one command twice. */
async function pushSignPush(
  repository: string,
  command: string,
  args: readonly string[],
  find = digestIn,
) {
  const refused = await session.runFailing(command, ...args)
  expect(await listTags(gated, repository)).toEqual([])
  const digest = find(refused)
  await sign(repository, digest)
  await session.run(command, ...args)
  expect(await listTags(gated, repository)).toEqual(['v1'])
}

describe('push, refused, sign, the same push again', () => {
  test('crane', async (context) => {
    need(context, 'crane')
    const { folder } = session.images.emptyLayer
    const args = ['--insecure', 'push', folder, at('prod/crane:v1')]
    await pushSignPush('prod/crane', 'crane', args)
  })

  test('oras', async (context) => {
    need(context, 'oras')
    const from = `${session.images.emptyLayer.folder}:latest`
    const args = ['cp', '--from-oci-layout', from, '--to-plain-http', at('prod/oras:v1')]
    await pushSignPush('prod/oras', 'oras', args)
  })

  test('skopeo', async (context) => {
    need(context, 'skopeo')
    const from = `oci:${session.images.emptyLayer.folder}:latest`
    const args = ['--insecure-policy', 'copy', '--dest-tls-verify=false', from]
    const to = `docker://${at('prod/skopeo:v1')}`
    await pushSignPush('prod/skopeo', 'skopeo', [...args, to])
  })

  test('podman', async (context) => {
    need(context, 'podman')
    const podman = [
      ...['--root', own('root'), '--runroot', own('run'), '--tmpdir', own('tmp')],
      ...['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none'],
    ]
    const archive = own('podman.tar')
    await session.run('tar', '-C', session.images.emptyLayer.folder, '-cf', archive, '.')
    await session.run('podman', ...podman, 'load', '-q', '-i', archive)
    const reference = at('prod/podman:v1')
    await session.run('podman', ...podman, 'tag', 'localhost/latest:latest', reference)
    const args = ['push', '-q', '--tls-verify=false', reference]
    await pushSignPush('prod/podman', 'podman', [...podman, ...args])
  })

  test('docker', async (context) => {
    need(context, 'docker', 'dockerd', 'containerd')
    const docker = await startDocker()
    const reference = at('prod/docker:v1')
    const archive = await writeDockerArchive(session, session.images.emptyLayer, reference)
    await session.run('docker', ...docker, 'load', '--input', archive)
    await pushSignPush('prod/docker', 'docker', [...docker, 'push', reference])
  })

  test('containerd', async (context) => {
    need(context, 'ctr', 'containerd')
    const ctr = await startContainerd()
    const archive = own('ctr.tar')
    await session.run('tar', '-C', session.images.emptyLayer.folder, '-cf', archive, '.')
    const base = ['--base-name', at('prod/ctr')]
    await session.run('ctr', ...ctr, 'images', 'import', '--no-unpack', ...base, archive)
    await session.run('ctr', ...ctr, 'images', 'tag', at('prod/ctr:latest'), at('prod/ctr:v1'))
    const args = [...ctr, 'images', 'push', '--plain-http', at('prod/ctr:v1')]
    // It prints the status of a refused push and nothing of its words.
    await pushSignPush('prod/ctr', 'ctr', args, (text) => {
      expect(text).toMatch(/403 Forbidden/)
      return session.images.emptyLayer.digest
    })
  })
})

test('a tag that is free, signed and then promoted with crane tag', async (context) => {
  need(context, 'crane')
  const { folder } = session.images.emptyLayer
  await session.run('crane', '--insecure', 'push', folder, at('prod/staged:build-1'))
  const promote = ['--insecure', 'tag', at('prod/staged:build-1'), 'v1']
  const digest = digestIn(await session.runFailing('crane', ...promote))
  await sign('prod/staged', digest)
  await session.run('crane', ...promote)
  expect(await statusOf(gated, '/v2/prod/staged/manifests/v1')).toBe(200)
})

describe('a pull of what is not signed, and once its index is signed', () => {
  /** Says how the client is asked: by the name of the image. */
  const pulls = async (
    context: TestContext,
    name: string,
    ask: (reference: string) => Promise<readonly [command: string, ...string[]]>,
    words = /signature policy \\*"pulls\\*": nothing is signed/,
  ) => {
    if (pulled === undefined) skipLoudly(context, 'this version has no gate of pulls')
    need(context, 'oras')
    const { folder, digest } = session.images.multiArch
    const repository = `${pulled.address}/pulls/${name}`
    const login = ['--to-username', pusher.name, '--to-password', pusher.password]
    const from = ['--from-oci-layout', `${folder}:latest`]
    const push = ['cp', ...from, '--to-plain-http', ...login, `${repository}:v1`]
    await session.run('oras', ...push)
    const [command, ...args] = await ask(`${repository}:v1`)
    expect(await session.runFailing(command, ...args)).toMatch(words)
    const user = ['--registry-username', pusher.name, '--registry-password', pusher.password]
    await session.run(
      'cosign',
      'sign',
      ...signArgs('cosign', 'p256'),
      ...user,
      `${repository}@${digest}`,
    )
    await session.run(command, ...args)
  }

  test('crane', async (context) => {
    need(context, 'crane')
    await pulls(context, 'crane', async (reference) => [
      ...(['crane', '--insecure', 'pull', '--format=oci'] as const),
      reference,
      own('pulled'),
    ])
  })

  test('podman', async (context) => {
    need(context, 'podman')
    const podman = [
      ...['--root', own('root'), '--runroot', own('run'), '--tmpdir', own('tmp')],
      ...['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none'],
    ]
    const pull = ['pull', '-q', '--tls-verify=false']
    await pulls(context, 'podman', async (reference) => ['podman', ...podman, ...pull, reference])
  })

  test('docker', async (context) => {
    need(context, 'docker', 'dockerd', 'containerd')
    await pulls(context, 'docker', async (reference) => [
      'docker',
      ...(await startDocker()),
      ...['pull', '--quiet', reference],
    ])
  })

  test('containerd', async (context) => {
    need(context, 'ctr', 'containerd')
    await pulls(context, 'ctr', async (reference) => [
      'ctr',
      ...(await startContainerd()),
      ...['images', 'pull', '--plain-http', '--snapshotter', 'native', reference],
    ])
  })
})

let dockerArgs: Promise<readonly string[]> | undefined

/** A dockerd of its own; what to put before each command. */
function startDocker(): Promise<readonly string[]> {
  dockerArgs ??= (async () => {
    await writeFile(own('daemon.json'), '{"features":{"containerd-snapshotter":false}}')
    const socket = ['--host', `unix://${own('docker.sock')}`]
    const folders = [
      '--data-root',
      own('data'),
      '--exec-root',
      own('exec'),
      '--pidfile',
      own('pid'),
    ]
    const network = ['--bridge', 'none', '--iptables=false', '--ip6tables=false']
    const rest = ['--config-file', own('daemon.json'), '--storage-driver', 'vfs']
    const args = [...socket, ...folders, ...network, ...rest]
    const ready = ['docker', ...socket, 'version'] as const
    daemons.push(await startDaemon(session, 'dockerd', args, [...ready]))
    return socket
  })()
  return dockerArgs
}

let ctrArgs: Promise<readonly string[]> | undefined

function startContainerd(): Promise<readonly string[]> {
  ctrArgs ??= (async () => {
    const config = [
      'version = 2',
      `root = "${own('ctr-root')}"`,
      `state = "${own('ctr-state')}"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      `grpc = { address = "${own('containerd.sock')}" }`,
      `ttrpc = { address = "${own('containerd.sock.ttrpc')}" }`,
    ]
    await writeFile(own('containerd.toml'), config.join('\n'))
    const socket = ['--address', own('containerd.sock')]
    const ready = ['ctr', ...socket, 'version'] as const
    const args = ['--config', own('containerd.toml')]
    daemons.push(await startDaemon(session, 'containerd', args, [...ready]))
    return socket
  })()
  return ctrArgs
}
