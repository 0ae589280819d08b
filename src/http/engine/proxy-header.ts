/**
 * @module The PROXY protocol's header, versions 1 and 2 (haproxy's proxy-protocol.txt): what a load
 * balancer that passes bytes on says of the client, once, before all else on a connection.
 */
import { isIP } from 'node:net'
import { formatAddress, shortAddress } from './address.ts'

export interface ProxyHeader {
  readonly bytes: number
  /** The client; undefined where the balancer speaks for itself (LOCAL, UNKNOWN). */
  readonly client: string | undefined
}

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const textStart = Buffer.from('PROXY ')
/** What is wrong with a balancer's connection that begins without one. */
export const headerless = 'a PROXY protocol header must come first here'

/** Longest line of version 1, with its end. */
const textBytesMax = 107
/** Longest header of version 2 that is taken: addresses and some TLVs. */
const binaryBytesMax = 4096

/** `more`: it has begun and is not whole. `none`: these bytes are no such header, or a wrong one. */
export function readProxyHeader(bytes: Buffer): ProxyHeader | 'more' | 'none' {
  if (startsLike(bytes, signature)) return readBinary(bytes)
  return startsLike(bytes, textStart) ? readText(bytes) : 'none'
}

function startsLike(bytes: Buffer, mark: Buffer): boolean {
  const length = Math.min(bytes.length, mark.length)
  return bytes.subarray(0, length).equals(mark.subarray(0, length))
}

function readText(bytes: Buffer): ProxyHeader | 'more' | 'none' {
  const end = bytes.subarray(0, textBytesMax).indexOf('\r\n')
  if (end < 0) return bytes.length < textBytesMax ? 'more' : 'none'
  const [, family, source = '', , ...ports] = bytes.toString('latin1', 0, end).split(' ')
  if (family === 'UNKNOWN') return { bytes: end + 2, client: undefined }
  const version = family === 'TCP4' ? 4 : family === 'TCP6' ? 6 : -1
  if (isIP(source) !== version || ports.length !== 2) return 'none'
  return { bytes: end + 2, client: shortAddress(source.toLowerCase()) }
}

function readBinary(bytes: Buffer): ProxyHeader | 'more' | 'none' {
  if (bytes.length < 16) return 'more'
  const length = 16 + bytes.readUInt16BE(14)
  const command = bytes[12]
  if (length > binaryBytesMax || (command !== 0x20 && command !== 0x21)) return 'none'
  if (bytes.length < length) return 'more'
  if (command === 0x20) return { bytes: length, client: undefined }
  const family = bytes[13]! >> 4
  if (family === 0 || family === 3) return { bytes: length, client: undefined }
  const size = family === 1 ? 4 : family === 2 ? 16 : 0
  if (size === 0 || length < 16 + 2 * size + 4) return 'none'
  return { bytes: length, client: formatAddress(bytes.subarray(16, 16 + size)) }
}
