/**
 * @module Hosts of registries as clients name them (`docker.io`, `my-registry:2524`, `[::1]:5000`): one
 * form for all ways to write the same one.
 */

/** A name of 253 characters, and a port. */
const hostLengthMax = 260

const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?)(?::[0-9]{1,5})?$/

/** Names of the one registry that has several. */
export const dockerHubHosts: readonly string[] = [
  'docker.io',
  'index.docker.io',
  'registry-1.docker.io',
  'registry.hub.docker.com',
]

/** Lower case, without the default port of https; undefined for what is no host. */
export function normalHost(text: string): string | undefined {
  if (text.length > hostLengthMax) return undefined
  const host = text.toLowerCase()
  if (!HOST.test(host)) return undefined
  return host.endsWith(':443') ? host.slice(0, -':443'.length) : host
}

/** Whether a client would take it for a host, not for the first part of a path. */
export function isHostLike(name: string): boolean {
  return name.includes('.') || name.includes(':') || name === 'localhost'
}
