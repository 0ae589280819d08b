/**
 * @module Addresses to listen on: `:5000`, `127.0.0.1:5000`, `[::1]:5000`, `localhost:5000`. Not
 * URLs, and nothing is resolved here: a host name stays a name.
 */
import { isIPv4, isIPv6 } from 'node:net'
import { fail, ok, type Result } from '../registry/result.ts'

/** Where to listen. An empty host means every interface, IPv4 and IPv6; port 0 means a free one. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

const PORT = /^\d{1,5}$/
const PORT_MAX = 65_535
const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i
const DIGITS_AND_DOTS = /^[\d.]+$/
const FORMS = '":5000", "127.0.0.1:5000", "[::1]:5000" or "localhost:5000"'

/** The address, or a sentence that says which form was expected. */
export function parseAddress(text: string): Result<ListenAddress, string> {
  if (text.includes('://')) return fail(`expected an address without a scheme, such as ${FORMS}`)
  const colon = text.lastIndexOf(':')
  if (colon === -1) {
    const example = PORT.test(text) ? `":${text}"` : FORMS
    return fail(`expected an address with a port, such as ${example}`)
  }
  const host = parseHost(text.slice(0, colon))
  if (!host.ok) return host
  const portText = text.slice(colon + 1)
  const port = Number(portText)
  if (!PORT.test(portText) || port > PORT_MAX) {
    return fail(`expected a port from 0 to ${PORT_MAX} after the last colon, such as ${FORMS}`)
  }
  return ok({ host: host.value, port })
}

/** The text that `parseAddress` reads back as the same address. */
export function formatAddress(address: ListenAddress): string {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${host}:${address.port}`
}

/** Whether only programs on this machine reach a listener on this host. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

function parseHost(text: string): Result<string, string> {
  if (text === '' || isIPv4(text)) return ok(text)
  if (text.startsWith('[') && text.endsWith(']')) {
    const inner = text.slice(1, -1)
    return isIPv6(inner) ? ok(inner) : fail('expected an IPv6 address between the brackets')
  }
  if (text.includes(':')) return fail('expected an IPv6 address in brackets, such as "[::1]:5000"')
  if (DIGITS_AND_DOTS.test(text)) return fail('expected four numbers from 0 to 255 before the port')
  return HOST_NAME.test(text) ? ok(text) : fail(`expected an address such as ${FORMS}`)
}

/** Scheme (http or https), host and port as browsers send them: no path, no user, nothing behind. */
export function isOrigin(text: string): boolean {
  if (text.includes('*') || text.length > 300) return false
  return /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text
}
