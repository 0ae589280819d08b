/**
 * @module What every client can do with a registry that asks who is there: log in, push, pull; each
 * with the options by which its users name a private authority. For `access.test.ts`.
 */

import assert from 'node:assert/strict'
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Layout } from '../../support/random-image.ts'
import { type Daemon, startDaemon } from './daemon.ts'
import { writeDockerArchive } from './docker-archive.ts'
import { readLayout } from './layout.ts'
import type { Session } from './session.ts'

/** What a driver works with: a folder of its own, the registry, the authority, one image. */
export interface Place extends Pick<Session, 'folder' | 'run' | 'own'> {
  readonly address: string
  /** File with the certificate of the authority; also in `certs`, as containers/image wants it. */
  readonly authority: string
  readonly certs: string
  readonly layout: Layout
}

export interface Driver {
  readonly name: string
  readonly tools: readonly string[]
  /** Whether a login with a wrong password fails at once; others keep what they are given. */
  readonly checksLogin: boolean
  open(place: Place): Promise<Client>
}

export interface Client {
  login(user: string, password: string): Promise<void>
  /** Pushes the image of the place. */
  push(reference: string): Promise<void>
  /** Pulls from the registry, not from what it has; fails when it is not the image. */
  pull(reference: string): Promise<void>
  close(): Promise<void>
}

const nothing = async () => undefined

/** Reads a layout that a client wrote, and removes it. */
async function expectLayout({ layout }: Place, folder: string): Promise<void> {
  assert.equal((await readLayout(folder)).digest, layout.digest)
  await rm(folder, { recursive: true })
}

const crane: Driver = {
  name: 'crane',
  tools: ['crane'],
  checksLogin: false,
  open: async (place) => ({
    login: async (user, password) => {
      await place.run('crane', 'auth', 'login', place.address, '-u', user, '-p', password)
    },
    push: async (reference) => {
      await place.run('crane', 'push', place.layout.folder, reference)
    },
    pull: async (reference) => {
      await place.run('crane', 'pull', '--format', 'oci', reference, place.own('pulled'))
      await expectLayout(place, place.own('pulled'))
    },
    close: nothing,
  }),
}

const oras: Driver = {
  name: 'oras',
  tools: ['oras'],
  checksLogin: true,
  open: async (place) => {
    const { authority, address, layout } = place
    return {
      login: async (user, password) => {
        await place.run(
          'oras',
          'login',
          '--ca-file',
          authority,
          '-u',
          user,
          '-p',
          password,
          address,
        )
      },
      push: async (reference) => {
        const from = ['--from-oci-layout', `${layout.folder}:latest`]
        await place.run('oras', 'cp', ...from, '--to-ca-file', authority, reference)
      },
      pull: async (reference) => {
        const to = ['--to-oci-layout', `${place.own('pulled')}:latest`]
        await place.run('oras', 'cp', '--from-ca-file', authority, reference, ...to)
        await expectLayout(place, place.own('pulled'))
      },
      close: nothing,
    }
  },
}

const skopeo: Driver = {
  name: 'skopeo',
  tools: ['skopeo'],
  checksLogin: true,
  open: async (place) => {
    const { certs, address, layout } = place
    const copy = ['--insecure-policy', 'copy', '--preserve-digests']
    return {
      login: async (user, password) => {
        await place.run('skopeo', 'login', '--cert-dir', certs, '-u', user, '-p', password, address)
      },
      push: async (reference) => {
        const from = `oci:${layout.folder}:latest`
        await place.run('skopeo', ...copy, '--dest-cert-dir', certs, from, `docker://${reference}`)
      },
      pull: async (reference) => {
        const to = `oci:${place.own('pulled')}:latest`
        await place.run('skopeo', ...copy, '--src-cert-dir', certs, `docker://${reference}`, to)
        await expectLayout(place, place.own('pulled'))
      },
      close: nothing,
    }
  },
}

/** podman and buildah: one image store, one set of options. */
function containersStorage(name: 'podman' | 'buildah', store: (place: Place) => string[]): Driver {
  return {
    name,
    tools: [name],
    checksLogin: true,
    open: async (place) => {
      const { certs, address } = place
      const call = async (...args: string[]) =>
        (await place.run(name, ...store(place), ...args)).stdout.trim()
      const tls = ['--cert-dir', certs]
      // The path becomes the image's name, which has no capitals.
      await symlink(place.layout.folder, place.own('image'))
      await call('pull', '-q', 'oci:image:latest')
      const image = (await call('images', '--quiet', '--no-trunc')).split('\n')[0]!
      return {
        login: async (user, password) => {
          await call('login', ...tls, '-u', user, '-p', password, address)
        },
        push: async (reference) => {
          await call('push', '-q', ...tls, image, `docker://${reference}`)
        },
        pull: async (reference) => {
          await call('rmi', '--all', '--force')
          await call('pull', '-q', ...tls, `docker://${reference}`)
          const { stdout } = await place.run(name, ...store(place), 'images', '--no-trunc')
          assert.match(stdout, new RegExp(image.replace('sha256:', '')))
        },
        close: nothing,
      }
    },
  }
}

const podman = containersStorage('podman', ({ own }) => [
  ...['--root', own('root'), '--runroot', own('run'), '--tmpdir', own('tmp')],
  ...['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none'],
])

const buildah = containersStorage('buildah', ({ own }) => [
  ...['--root', own('root'), '--runroot', own('run'), '--storage-driver', 'vfs'],
])

const containerd: Driver = {
  name: 'containerd',
  tools: ['ctr', 'containerd'],
  checksLogin: false,
  open: async (place) => {
    const { own, authority, address, layout } = place
    const config = [
      'version = 2',
      `root = "${own('root')}"`,
      `state = "${own('state')}"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      `grpc = { address = "${own('containerd.sock')}" }`,
      `ttrpc = { address = "${own('containerd.sock.ttrpc')}" }`,
    ]
    await writeFile(own('config.toml'), config.join('\n'))
    const socket = ['--address', own('containerd.sock')]
    const ready = ['ctr', ...socket, 'version'] as const
    const daemon = await startDaemon(place, 'containerd', ['--config', own('config.toml')], ready)
    const ctr = (...args: string[]) => place.run('ctr', ...socket, 'images', ...args)
    await place.run('tar', '-C', layout.folder, '-cf', own('image.tar'), '.')
    await ctr('import', '--no-unpack', '--base-name', 'kept', own('image.tar'))
    let who: string[] = []
    // Without such a file it takes a loopback address for plain HTTP.
    await mkdir(own(`hosts/${address}`), { recursive: true })
    const hosts = [`[host."https://${address}"]`, `ca = "${authority}"`]
    await writeFile(own(`hosts/${address}/hosts.toml`), hosts.join('\n'))
    const tls = ['--hosts-dir', own('hosts')]
    return {
      // ctr keeps no credentials.
      login: async (user, password) => {
        who = ['--user', `${user}:${password}`]
      },
      push: async (reference) => {
        await ctr('push', ...tls, ...who, reference, 'kept:latest')
      },
      pull: async (reference) => {
        await ctr('pull', ...tls, ...who, '--snapshotter', 'native', reference)
        const { stdout } = await ctr('ls', `name==${reference}`)
        assert.match(stdout, new RegExp(layout.digest))
        await ctr('rm', '--sync', reference)
      },
      close: () => daemon.stop(),
    }
  },
}

/** Docker speaks TLS to 127.0.0.0/8, but checks no certificate there, whatever it is told. */
const docker: Driver = {
  name: 'docker',
  tools: ['docker', 'dockerd', 'containerd'],
  checksLogin: true,
  open: async (place) => {
    const { own } = place
    await writeFile(own('daemon.json'), '{"features":{"containerd-snapshotter":false}}')
    const onSocket = (args: readonly string[]) => [
      '--host',
      `unix://${own('docker.sock')}`,
      ...args,
    ]
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
    const daemon: Daemon = await startDaemon(
      place,
      'dockerd',
      onSocket([...folders, ...network, ...rest]),
      ['docker', ...onSocket(['version'])],
    )
    const call = async (...args: string[]) =>
      (await place.run('docker', ...onSocket(args))).stdout.trim()
    await call('load', '--input', await writeDockerArchive(place, place.layout, 'kept:latest'))
    const id = await call('image', 'inspect', '--format', '{{.Id}}', 'kept:latest')
    return {
      login: async (user, password) => {
        await call('login', '-u', user, '-p', password, place.address)
      },
      push: async (reference) => {
        await call('tag', 'kept:latest', reference)
        await call('push', '--quiet', reference)
        await call('rmi', reference)
      },
      pull: async (reference) => {
        await call('pull', '--quiet', reference)
        assert.equal(await call('image', 'inspect', '--format', '{{.Id}}', reference), id)
        await call('rmi', reference)
      },
      close: () => daemon.stop(),
    }
  },
}

/** A push is a signature beside an image that crane has pushed; a pull is its verification. */
const cosign: Driver = {
  name: 'cosign',
  tools: ['cosign', 'crane'],
  checksLogin: false,
  open: async (place) => {
    await mkdir(place.own('keys'))
    const key = join(place.own('keys'), 'own')
    await place.run('cosign', 'generate-key-pair', '--output-key-prefix', key)
    const offline = [
      '--tlog-upload=false',
      '--use-signing-config=false',
      '--new-bundle-format=false',
    ]
    const client = await crane.open(place)
    return {
      login: async (user, password) => {
        await place.run('cosign', 'login', place.address, '-u', user, '-p', password)
      },
      push: async (reference) => {
        await client.push(reference)
        const image = `${reference.replace(/:[^:/]+$/, '')}@${place.layout.digest}`
        await place.run('cosign', 'sign', '--yes', '--key', `${key}.key`, ...offline, image)
      },
      pull: async (reference) => {
        // Nobody has signed what is public.
        if (reference.includes('/public/')) return client.pull(reference)
        const ignore = ['--insecure-ignore-tlog=true', '--new-bundle-format=false']
        await place.run('cosign', 'verify', '--key', `${key}.pub`, ...ignore, reference)
      },
      close: nothing,
    }
  },
}

export const DRIVERS: readonly Driver[] = [
  crane,
  oras,
  skopeo,
  podman,
  buildah,
  containerd,
  docker,
  cosign,
]
