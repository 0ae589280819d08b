/**
 * @module The gRPC client of one etcd endpoint, the only user of `@grpc/grpc-js`. It sends and receives
 * bytes: the messages are `messages.ts`, so that no loader of protobuf files runs. Time-outs, other
 * endpoints and further tries are the business of who calls.
 */
import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import {
  type ChannelCredentials,
  Client,
  type ClientOptions,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import type { CallEnd, EtcdConnection, EtcdTls, StreamEnd } from './connection.ts'
import type { CallFailure } from './errors.ts'
import {
  KEEP_ALIVE_ANSWER_MS,
  KEEP_ALIVE_MS,
  MESSAGE_BYTES_MAX,
  RECONNECT_MS,
  RECONNECT_MS_MAX,
} from './limits.ts'

const OPTIONS: ClientOptions = {
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  'grpc.keepalive_time_ms': KEEP_ALIVE_MS,
  'grpc.keepalive_timeout_ms': KEEP_ALIVE_ANSWER_MS,
  // etcd ends a connection that pings without a call on it.
  'grpc.keepalive_permit_without_calls': 0,
  'grpc.initial_reconnect_backoff_ms': RECONNECT_MS,
  'grpc.max_reconnect_backoff_ms': RECONNECT_MS_MAX,
  // An append that failed is known as failed: nothing below repeats it.
  'grpc.enable_retries': 0,
  // No TXT records, no proxy of the environment, no connection shared with another log.
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
}

/** Sent in TLS where the endpoint is an address. */
const NAME_OF_ADDRESS = 'etcd'

/** Members that have lost their leader end such a stream instead of keeping it silent. */
const NEEDS_LEADER = { hasleader: 'true' } as const

/** A connection to `host:port`, with TLS when there are settings for it. Nothing is sent before a call. */
export function connectEtcd(endpoint: string, tls?: EtcdTls): EtcdConnection {
  return new GrpcConnection(endpoint, tls)
}

class GrpcConnection implements EtcdConnection {
  readonly #client: Client

  constructor(endpoint: string, tls: EtcdTls | undefined) {
    const target = `dns:${endpoint}`
    const address = addressIn(endpoint)
    if (tls === undefined) {
      this.#client = new Client(target, credentials.createInsecure(), OPTIONS)
    } else if (address === undefined) {
      this.#client = new Client(target, credentialsOf(tls), OPTIONS)
    } else {
      // grpc-js sends an address as the server's name, which is none: Node 26 refuses that. With another
      // name in its place, the certificate is still compared with the address.
      const options = { ...OPTIONS, 'grpc.ssl_target_name_override': NAME_OF_ADDRESS }
      this.#client = new Client(target, credentialsOf(tls, address), options)
    }
  }

  call(method: string, request: Uint8Array, end: CallEnd): () => void {
    let isOver = false
    const finish = (error: ServiceError | null, answer?: Uint8Array) => {
      if (isOver) return
      isOver = true
      if (error !== null) end.onFailure(failureOf(error))
      else end.onAnswer(answer ?? new Uint8Array())
    }
    const call = this.#client.makeUnaryRequest(
      method,
      toBuffer,
      same,
      request,
      new Metadata(),
      {},
      finish,
    )
    return () => {
      if (isOver) return
      isOver = true
      call.cancel()
    }
  }

  stream(method: string, request: Uint8Array, end: StreamEnd): () => void {
    let isOver = false
    const metadata = Metadata.fromHttp2Headers(NEEDS_LEADER)
    const call = this.#client.makeBidiStreamRequest(method, toBuffer, same, metadata, {})
    const finish = (failure: CallFailure) => {
      if (isOver) return
      isOver = true
      end.onEnd(failure)
    }
    call.on('data', (message: Uint8Array) => {
      if (!isOver) end.onMessage(message)
    })
    // A stream that is left out of sight still says how it ended.
    call.on('error', (error: ServiceError) => finish(failureOf(error)))
    call.on('end', () => finish({ status: 'UNAVAILABLE', details: 'the stream was ended' }))
    call.write(request)
    return () => {
      if (isOver) return
      isOver = true
      call.cancel()
    }
  }

  close(): void {
    this.#client.close()
  }
}

/** `address`: what the server's certificate has to be for, when that is no name. */
function credentialsOf({ ca, key, cert }: EtcdTls, address?: string): ChannelCredentials {
  const verify =
    address === undefined
      ? {}
      : {
          checkServerIdentity: (_: string, peer: PeerCertificate) =>
            checkServerIdentity(address, peer),
        }
  return credentials.createSsl(pem(ca), pem(key), pem(cert), verify)
}

/** The IP address of `address:port`; undefined for a name. */
function addressIn(endpoint: string): string | undefined {
  const host = endpoint.slice(0, endpoint.lastIndexOf(':')).replace(/^\[|\]$/g, '')
  return isIP(host) === 0 ? undefined : host
}

function pem(value: string | Uint8Array | undefined): Buffer | null {
  return value === undefined ? null : Buffer.from(value)
}

function failureOf(error: ServiceError): CallFailure {
  return { status: status[error.code] ?? 'UNKNOWN', details: error.details }
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function same(bytes: Buffer): Uint8Array {
  return bytes
}
