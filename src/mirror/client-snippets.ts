/**
 * @module What clients need to know of a mirror, ready to paste: one snippet a client, with the path
 * of the file that it belongs into.
 */

export interface ClientSnippet {
  readonly client: 'docker' | 'containerd' | 'podman' | 'buildkit' | 'k3s'
  readonly file: string
  readonly text: string
}

export interface SnippetRequest {
  readonly name: string
  readonly isRoot: boolean
  /** `host:port` at which clients reach this registry. */
  readonly address: string
  readonly isTls: boolean
}

export function clientSnippets({ name, isRoot, address, isTls }: SnippetRequest): ClientSnippet[] {
  const url = `${isTls ? 'https' : 'http'}://${address}`
  const server = name === 'docker.io' ? 'https://registry-1.docker.io' : `https://${name}`
  const containerd: ClientSnippet = {
    client: 'containerd',
    file: `/etc/containerd/certs.d/${name}/hosts.toml`,
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
      `prefix = "${name}"`,
      `location = "${name}"`,
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
      `[registry."${name}"]`,
      `  mirrors = ["${address}/${name}"]`,
      '',
      ...(isTls ? [] : [`[registry."${address}"]`, '  http = true', '']),
    ].join('\n'),
  }
  const k3s: ClientSnippet = {
    client: 'k3s',
    file: '/etc/rancher/k3s/registries.yaml',
    text: ['mirrors:', `  ${name}:`, '    endpoint:', `      - "${url}"`, ''].join('\n'),
  }
  return isRoot && name === 'docker.io'
    ? [dockerSnippet(url, address, isTls), containerd, podman, buildkit, k3s]
    : [containerd, podman, buildkit, k3s]
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
