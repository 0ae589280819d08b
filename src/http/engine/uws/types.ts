/**
 * @module The part of uWebSockets.js that we use, as types of our own: the API of 20.51, which is
 * the oldest binary that the loader takes. Nothing here runs.
 */

/** What the native side takes as text or bytes. */
export type UwsBytes = string | ArrayBuffer | Uint8Array

export interface UwsRequest {
  /** Called before `getMethod`, which lower-cases in place (and is never called here). */
  getCaseSensitiveMethod(): string
  getUrl(): string
  /** Undefined when the target has no `?`. */
  getQuery(): string | undefined
  /** Names arrive in lower case, in the order sent, repeated lines one by one. */
  forEach(callback: (name: string, value: string) => void): void
}

/** Any use after the end or the abort throws. */
export interface UwsResponse {
  onAborted(callback: () => void): UwsResponse
  /** The chunk is emptied when the callback returns. */
  onData(callback: (chunk: ArrayBuffer, isLast: boolean) => void): UwsResponse
  onWritable(callback: (offset: number) => boolean): UwsResponse
  pause(): void
  resume(): void
  cork(callback: () => void): UwsResponse
  writeStatus(status: string): UwsResponse
  writeHeader(name: string, value: string): UwsResponse
  write(bytes: UwsBytes): boolean
  end(bytes?: UwsBytes, closeConnection?: boolean): UwsResponse
  endWithoutBody(): UwsResponse
  /** `[socket takes more, response is complete]`; no bytes complete it from 20.69 on. */
  tryEnd(bytes: UwsBytes, totalBytes: number): [boolean, boolean]
  getWriteOffset(): number
  /** Empty from 20.69 on for a connection that was adopted. */
  getRemoteAddress(): ArrayBuffer
  /** From 20.69 on. */
  getRemotePort?(): number
  /** What a PROXY protocol (version 2) header said; empty without one. */
  getProxiedRemoteAddress(): ArrayBuffer
  close(): UwsResponse
}

export interface UwsSslOptions {
  readonly key_file_name: string
  readonly cert_file_name: string
  readonly ssl_ciphers: string
}

export interface UwsApp {
  /** A certificate for clients that ask for this name (`*.example.com` too). */
  addServerName(name: string, options: UwsSslOptions): UwsApp
  any(pattern: string, handler: (res: UwsResponse, req: UwsRequest) => void): UwsApp
  /** Called with 1 for a connection opened, -1 for one closed. */
  filter(callback: (res: UwsResponse, delta: number) => void): UwsApp
  /** Takes a connection that was accepted, and closes its descriptor in the end. */
  adoptSocket(descriptor: number): UwsApp
  /** Closes every socket of the app. */
  close(): UwsApp
}

export interface UwsModule {
  App(): UwsApp
  /** Throws when the files do not make a TLS context. */
  SSLApp(options: UwsSslOptions): UwsApp
  /** Not in its documentation. One key switches the header off that names it in every answer. */
  _cfg(key: string): void
}
