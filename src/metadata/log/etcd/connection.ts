/**
 * @module One endpoint of etcd as the log needs it: bytes there, bytes back. What is behind it is gRPC
 * (`client.ts`), or the script of a test.
 */
import type { CallFailure } from './errors.ts'

/** What is called when a request has ended, once, and never before the call that started it returned. */
export interface CallEnd {
  onAnswer(answer: Uint8Array): void
  onFailure(failure: CallFailure): void
}

export interface StreamEnd {
  onMessage(message: Uint8Array): void
  /** Nothing comes behind it. Called once, unless the stream was ended from here. */
  onEnd(failure: CallFailure): void
}

export interface EtcdConnection {
  /** Sends one request, and never a second time. The returned function gives it up: nothing is called then. */
  call(method: string, request: Uint8Array, end: CallEnd): () => void
  /** Opens a stream with one request. The returned function ends it: nothing is called then. */
  stream(method: string, request: Uint8Array, end: StreamEnd): () => void
  close(): void
}

/** Certificates as PEM. `cert` and `key` are the client's own, both or none. */
export interface EtcdTls {
  /** Who signs the members' certificates; the machine's authorities without it. */
  readonly ca?: string | Uint8Array
  readonly cert?: string | Uint8Array
  readonly key?: string | Uint8Array
}

/** `endpoint`: `host:port`. Connects when it is first needed, and again whenever it has to. */
export type Connect = (endpoint: string, tls: EtcdTls | undefined) => EtcdConnection
