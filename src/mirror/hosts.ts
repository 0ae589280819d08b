/**
 * @module Which hosts a mirror stands for: what clients send as `ns`, and what snippets name. A mirror's
 * name is the first part of its paths and need not be a host; Docker Hub has several.
 */
import type { MirrorConfig } from '../config/config.ts'
import { dockerHubHosts, isHostLike, normalHost } from '../registry/host.ts'

type Named = Pick<MirrorConfig, 'name' | 'hosts' | 'upstreams'>

export function isDockerHub({ name, upstreams }: Omit<Named, 'hosts'>): boolean {
  return name === 'docker.io' || upstreams.some((url) => isHubHost(new URL(url).hostname))
}

function isHubHost(hostname: string): boolean {
  return hostname === 'docker.io' || hostname.endsWith('.docker.io')
}

/** The hosts that clients write before the names of its images: for snippets. */
export function namedHosts({ name, hosts, upstreams }: Named): readonly string[] {
  if (hosts.length > 0) return hosts
  if (isDockerHub({ name, upstreams })) return ['docker.io']
  const own = upstreamHosts(upstreams)
  const isOwn = own.some((host) => host === name || host.startsWith(`${name}:`))
  return isHostLike(name) && !isOwn ? [name] : own.slice(0, 1)
}

/** Where an image of that host really is: the URL of the upstream that has its name, or https. */
export function serverOf(host: string, { upstreams }: Pick<Named, 'upstreams'>): string {
  if (dockerHubHosts.includes(host)) return 'https://registry-1.docker.io'
  const own = upstreams.find((url) => normalHost(new URL(url).host) === host)
  return own === undefined ? `https://${host}` : new URL(own).origin
}

/**
 * The mirror of each host. What is written in `hosts` counts first, then names, then what follows from
 * the upstreams; of two that could be meant the first is.
 */
export function byHost<M extends { readonly config: Named }>(
  mirrors: readonly M[],
): ReadonlyMap<string, M> {
  const found = new Map<string, M>()
  const add = (host: string | undefined, mirror: M) => {
    if (host !== undefined && !found.has(host)) found.set(host, mirror)
  }
  for (const mirror of mirrors) for (const host of mirror.config.hosts) add(host, mirror)
  for (const mirror of mirrors) add(normalHost(mirror.config.name), mirror)
  for (const mirror of mirrors) {
    if (isDockerHub(mirror.config)) for (const host of dockerHubHosts) add(host, mirror)
    if (mirror.config.hosts.length > 0) continue
    for (const host of upstreamHosts(mirror.config.upstreams)) add(host, mirror)
  }
  // The default port of those that speak http.
  for (const [host, mirror] of [...found]) {
    const isHttp = mirror.config.upstreams.some((url) => url.toLowerCase().startsWith('http:'))
    if (isHttp && !/^\d+$/.test(host.slice(host.lastIndexOf(':') + 1))) add(`${host}:80`, mirror)
  }
  return found
}

function upstreamHosts(upstreams: readonly string[]): string[] {
  return upstreams.flatMap((url) => normalHost(new URL(url).host) ?? [])
}
