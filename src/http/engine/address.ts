/**
 * @module Network addresses: the short text of a peer's address, and the sentences for a listener
 * that cannot start.
 */
import type { AddressInfo, Server } from 'node:net'
import type { ListenAddress } from './port.ts'

/** Text of 4 or 16 address bytes: dotted for IPv4 (mapped too), RFC 5952 for IPv6. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`
  if (bytes.length !== 16) return ''
  if (isMappedIpv4(bytes)) return `${bytes[12]}.${bytes[13]}.${bytes[14]}.${bytes[15]}`
  const words: number[] = []
  for (let index = 0; index < 16; index += 2) words.push(bytes[index]! * 256 + bytes[index + 1]!)
  const full = words.map((word) => word.toString(16)).join(':')
  // The longest run of at least two zero words, the first of equals, becomes `::`.
  const runs = full.match(/\b0(?::0)+\b/g) ?? []
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '')
  if (longest === '') return full
  const start = full.search(new RegExp(`\\b${longest}\\b`))
  const before = full.slice(0, start).replace(/:$/, '')
  return `${before}::${full.slice(start + longest.length).replace(/^:/, '')}`
}

/** `::ffff:a.b.c.d`: an IPv4 client of a dual-stack listener. Once a request, so without a loop's arrays. */
function isMappedIpv4(bytes: Uint8Array): boolean {
  if (bytes[10] !== 0xff || bytes[11] !== 0xff) return false
  for (let index = 0; index < 10; index += 1) if (bytes[index] !== 0) return false
  return true
}

/** The short text of an address that node gives as text (`::ffff:127.0.0.1`). */
export function shortAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '')
}

/** `host:port` for messages; an empty host reads `*`. */
export function describeAddress({ host, port }: ListenAddress): string {
  if (host === '') return `*:${port}`
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Why a listener did not start, as an error that says what to do. */
export function listenError(address: ListenAddress, code: string | undefined): Error {
  const where = describeAddress(address)
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'the port is in use: stop the other process or choose another port',
    EACCES: 'ports below 1024 need CAP_NET_BIND_SERVICE: choose another port or grant it',
    EADDRNOTAVAIL: 'this machine does not have that address',
    ENOTFOUND: 'the host name does not resolve',
  }
  return new Error(`cannot listen on ${where}: ${reasons[code ?? ''] ?? code ?? 'unknown reason'}`)
}

/** Starts a listener of node's; resolves to its port, rejects with an error that says what to do. */
export function listenOn(
  server: Server,
  address: ListenAddress,
  backlog?: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(listenError(address, error.code))
    })
    const host = address.host === '' ? undefined : address.host
    server.listen(
      { host, port: address.port, ...(backlog === undefined ? {} : { backlog }) },
      () => {
        resolve((server.address() as AddressInfo).port)
      },
    )
  })
}
