/**
 * @module What a node shows to its peers, and what it asks of theirs: TLS 1.3 with a certificate of the
 * cluster's own authority at both ends, judged by cluster and number of the member and by no host name.
 */
import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import { type MemberIdentity, memberIn } from '../identity/authority.ts'
import { MeshError } from '../identity/problem.ts'

/** Of this node, as PEM. */
export interface Credentials extends MemberIdentity {
  readonly authority: string
  readonly certificate: string
  readonly privateKey: string
}

/** Options of TLS, of both ends. */
export function tlsOf({ authority, certificate, privateKey }: Credentials) {
  return { ca: authority, cert: certificate, key: privateKey, ...tlsRules }
}

const contexts = new WeakMap<Credentials, SecureContext>()

/** Of the end that connects: reading keys takes longer than connecting, so that is done once. */
export function clientTlsOf(credentials: Credentials) {
  const options = tlsOf(credentials)
  const secureContext = contexts.get(credentials) ?? createSecureContext(options)
  contexts.set(credentials, secureContext)
  return { ...options, secureContext }
}

/** No tickets: a connection that is resumed would skip the certificate, which may have ended meanwhile. */
export const tlsRules = {
  minVersion: 'TLSv1.3',
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const

/**
 * The member at the other end; undefined: it has shown no certificate. Throws a MeshError 'certificate' for one
 * that is not good, and 'cluster' for a good one of another cluster.
 */
export function memberBehind(socket: TLSSocket, cluster: string): number | undefined {
  const x509 = socket.getPeerX509Certificate()
  if (x509 === undefined) return undefined
  if (!socket.authorized) throw notGood(String(socket.authorizationError))
  return requireMember(memberIn(x509), cluster)
}

/** The number of a member of this cluster. Throws as `memberBehind`. */
export function requireMember(said: MemberIdentity | undefined, cluster: string): number {
  if (said === undefined) throw notGood('it is not of a member')
  if (said.cluster === cluster) return said.member
  throw new MeshError(
    'cluster',
    `the other node is of cluster "${said.cluster}", this one of "${cluster}"`,
  )
}

function notGood(reason: string): MeshError {
  return new MeshError('certificate', `the certificate is refused: ${reason}`)
}

/**
 * 32 bytes that only the two ends of this connection know (RFC 9266 has it with another label): what goes with
 * them was sent on this connection.
 */
export function channelOf(socket: TLSSocket): Buffer {
  return socket.exportKeyingMaterial(32, 'EXPORTER-fastregistry-mesh-join', Buffer.alloc(0))
}
