/**
 * @module Settings of what browsers may do here, and of whether the registry is open to the network.
 */
import * as v from 'valibot'
import { setting } from '../setting.ts'
import * as type from '../value-type.ts'

const since = '1.0.0'

const words = v.string('expected text')

/** All origins, for reading without a browser's own login. */
export const anyOrigin = '*'

const origin = v.pipe(
  words,
  v.check(
    isOrigin,
    'expected an origin such as "https://ui.example.com" or "http://localhost:8080", in lower case, without a path; or "*" alone',
  ),
)
const hostName = v.pipe(
  words,
  v.check(isHostName, 'expected a name such as "registry.example.com" or "*.example.com"'),
)

/** Scheme, host and port as browsers send them. */
export function isOrigin(text: string): boolean {
  if (text === anyOrigin) return true
  if (text.includes('*')) return false
  return /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text
}

/** A host name without a port in lower case, perhaps with `*` for its first label. */
export function isHostName(text: string): boolean {
  const labels = text.split('.')
  if (text.length > 253 || (labels[0] === '*' && labels.length < 3)) return false
  return labels.every(
    (label, index) => (index === 0 && label === '*') || /^[a-z0-9_-]{1,63}$/.test(label),
  )
}

export const BROWSER_SETTINGS = {
  'server.open': setting({
    type: type.boolean(),
    default: false,
    doc: 'Without `auth` and `access` listen where `server.addr` says, not on this machine alone: whoever reaches the port may pull, push and delete.',
    since,
    flag: 'open',
  }),
  'server.cors.origins': setting({
    type: type.list('list of origins', origin),
    default: [],
    doc: 'Web sites whose pages may call this registry with the logins of browsers, such as `https://ui.example.com`. `*` alone: every page may read, without such logins.',
    since,
  }),
  'server.hosts': setting({
    type: type.list('list of host names', hostName),
    default: [],
    doc: 'Names under which browsers may reach this registry, beside IP addresses and `localhost`. Empty: the names of its certificates and of `auth.tokens.realm`.',
    since,
  }),
} as const
