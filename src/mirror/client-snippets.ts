/**
 * @module What clients need to know of a mirror, ready to paste: one snippet a client, with the path
 * of the file that it belongs into.
 */
import { namedHosts, serverOf } from './hosts.ts'

export interface ClientSnippet {
  readonly client: 'docker' | 'containerd' | 'podman' | 'buildkit' | 'k3s'
  readonly file: string
  readonly text: string
}

export interface SnippetRequest {
  readonly name: string
  readonly hosts: readonly string[]
  readonly upstreams: readonly string[]
  readonly isRoot: boolean
  /** `host:port` at which clients reach this registry. */
  readonly address: string
  readonly isTls: boolean
}

/** For every host that the mirror stands for. */
export function clientSnippets(request: SnippetRequest): ClientSnippet[] {
  const hosts = namedHosts(request)
  const all = hosts.flatMap((host) => snippetsOf(host, request))
  const { isRoot, address, isTls } = request
  const isDocker = isRoot && hosts.includes('docker.io')
  return isDocker ? [dockerSnippet(urlOf(address, isTls), address, isTls), ...all] : all
}

const urlOf = (address: string, isTls: boolean) => `${isTls ? 'https' : 'http'}://${address}`

function snippetsOf(host: string, request: SnippetRequest): ClientSnippet[] {
  const { name, address, isTls } = request
  const url = urlOf(address, isTls)
  const server = serverOf(host, request)
  const containerd: ClientSnippet = {
    client: 'containerd',
    file: `/etc/containerd/certs.d/${host}/hosts.toml`,
    text: [
      `server = "${server}"`,
      '',
      `[host."${url}"]`,
      '  capabilities = ["pull", "resolve"]',
      '',
    ].join('\n'),
  }
  const podman: ClientSnippet = {
    client: 'podman',
    file: '/etc/containers/registries.conf.d/fastregistry.conf',
    text: [
      '[[registry]]',
      `prefix = "${host}"`,
      `location = "${host}"`,
      ...(server.startsWith('http:') ? ['insecure = true'] : []),
      '',
      '[[registry.mirror]]',
      `location = "${address}/${name}"`,
      ...(isTls ? [] : ['insecure = true']),
      '',
    ].join('\n'),
  }
  const buildkit: ClientSnippet = {
    client: 'buildkit',
    file: '/etc/buildkit/buildkitd.toml',
    text: [
      `[registry."${host}"]`,
      `  mirrors = ["${address}/${name}"]`,
      '',
      ...(isTls ? [] : [`[registry."${address}"]`, '  http = true', '']),
    ].join('\n'),
  }
  const k3s: ClientSnippet = {
    client: 'k3s',
    file: '/etc/rancher/k3s/registries.yaml',
    text: ['mirrors:', `  "${host}":`, '    endpoint:', `      - "${url}"`, ''].join('\n'),
  }
  return [containerd, podman, buildkit, k3s]
}

/** dockerd mirrors Docker Hub alone, and at bare paths. */
function dockerSnippet(url: string, address: string, isTls: boolean): ClientSnippet {
  const settings = {
    'registry-mirrors': [url],
    ...(isTls ? {} : { 'insecure-registries': [address] }),
  }
  const text = `${JSON.stringify(settings, null, 2)}\n`
  return { client: 'docker', file: '/etc/docker/daemon.json', text }
}
