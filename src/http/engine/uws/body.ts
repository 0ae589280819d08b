/**
 * @module The request body of a uWebSockets.js exchange. The socket delivers chunks whether or not
 * a reader is there yet: those that come early are copied and the socket is paused, so at most one
 * read of the socket (512 KiB) is kept.
 *
 * `resume()` without a `pause()` before it stops the socket for good (the native side restores a
 * poll mask that it never saved), so the socket's real state is tracked here.
 */
import type { LentEnd, LentRest, LentSocket } from '../../../runtime/lent-socket.ts'
import type { LoadedBinary } from '../../../runtime/loaded-binary.ts'
import { ClientGone } from '../port.ts'
import { ChunkFrame } from './chunk-frame.ts'
import {
  chunksAfterPauseMax,
  fullReadsMax,
  nativeReadBytes,
  type SocketBounds,
} from './socket-bounds.ts'
import type { UwsResponse } from './types.ts'

export class UwsBody {
  private nativeBytes = 0
  /** Undefined once the exchange is over: the native side would throw. */
  private res: UwsResponse | undefined
  private early: Uint8Array[] | undefined
  private onChunk: ((bytes: Uint8Array) => void) | undefined
  private resolve: (() => void) | undefined
  private reject: ((error: unknown) => void) | undefined
  hasEnded = false
  private isWanted = true
  private isHeldByReader = false
  private isSocketPaused = false
  private chunksAfterPause = 0
  private fullReads = 0
  /** What came early is being delivered, and more of it is there. */
  private isCatchingUp = false
  /** Of a chunked body that has become long: where it stands. */
  private frame: ChunkFrame | undefined
  /** Somebody else reads the rest. */
  private lent: LentSocket | undefined
  private readonly bounds: SocketBounds
  /** Nothing behind the body is read before the answer: the request changes something. */
  private holdsNext: boolean

  /** Must run before the request handler returns to the native side. */
  constructor(res: UwsResponse, bounds: SocketBounds, holdsNext: boolean) {
    this.res = res
    this.bounds = bounds
    this.holdsNext = holdsNext
    res.onData((chunk, isLast) => this.received(chunk, isLast))
  }

  get receivedBytes(): number {
    return this.nativeBytes + (this.lent?.receivedBytes ?? 0)
  }

  /**
   * The rest, if somebody else could read it now: nothing of it is in memory here, and at least `bytesMin`
   * are left; or it is chunked, and as much has come. `bodyBytes`: as announced.
   */
  restToLend(
    bodyBytes: number | undefined,
    bytesMin: number,
    binary: LoadedBinary,
  ): LentRest | undefined {
    if (this.isCatchingUp || this.isSocketPaused || this.hasEnded) return undefined
    if (bodyBytes !== undefined) {
      const bytes = bodyBytes - this.nativeBytes
      return bytes < bytesMin ? undefined : { kind: 'length', bytes }
    }
    if (this.nativeBytes < bytesMin) return undefined
    this.frame ??= new ChunkFrame(binary)
    const leftInChunk = this.frame.left
    return leftInChunk === undefined ? undefined : { kind: 'chunked', leftInChunk }
  }

  /** Whether whoever reads the rest waits for the client. */
  get isLentAndAhead(): boolean {
    return this.lent !== undefined && !this.hasEnded && !this.lent.isBehind
  }

  /** The native side has forgotten the socket: its rest comes another way, until `lentEnded`. */
  lend(socket: LentSocket): void {
    this.res = undefined
    this.lent = socket
  }

  /** See `LentEnd`; a client that has gone is the exchange's to tell. */
  lentEnded(end: LentEnd): void {
    if (end === 'whole' || end === 'overrun') {
      this.hasEnded = true
      this.resolve?.()
    } else if (end === 'cut') {
      this.reject?.(new Error('the rest of the body was not read'))
    }
  }

  read(onChunk: (bytes: Uint8Array) => void): Promise<void> {
    if (this.onChunk !== undefined) return Promise.reject(new Error('readBody was called twice'))
    this.onChunk = onChunk
    const whole = new Promise<void>((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // The handler may look at it only after other work: not an unhandled rejection till then.
    whole.catch(() => {})
    const early = this.early ?? []
    this.early = undefined
    for (const [index, chunk] of early.entries()) {
      this.isCatchingUp = index < early.length - 1
      this.deliver(chunk)
    }
    if (this.lent !== undefined) return whole
    if (this.res === undefined) this.reject?.(new ClientGone())
    else if (this.hasEnded) this.resolve?.()
    this.pauseAsWanted()
    return whole
  }

  /** Somebody wants to know when the client leaves: a socket that is not read does not tell. */
  watch(): void {
    this.holdsNext = false
    this.pauseAsWanted()
  }

  hold(isHeld: boolean): void {
    this.isHeldByReader = isHeld
    this.pauseAsWanted()
  }

  /**
   * An answer is about to be sent: what is left of the body is discarded. The socket is resumed
   * first, because its poll mask is kept by whether output is buffered.
   */
  discard(): void {
    this.isWanted = false
    this.lent?.cut()
    this.early = undefined
    this.pauseAsWanted()
  }

  /** See `http/engine/uws/keep-alive.ts`; false when nothing more is expected from the client. */
  refresh(): boolean {
    if (this.res === undefined || this.hasEnded || !this.isWanted) return false
    // Also a second time: the native side arms its timer after a handler that paused synchronously.
    this.res.pause()
    if (!this.isSocketPaused) this.res.resume()
    return !this.isSocketPaused
  }

  /** The exchange is over: no use of the socket after this. */
  release(): void {
    this.res = undefined
    this.early = undefined
    this.lent?.cut()
    // An error costs its stack: only where somebody still waits.
    if (!this.hasEnded) this.reject?.(new ClientGone())
  }

  private received(chunk: ArrayBuffer, isLast: boolean): void {
    if (this.res === undefined) return
    this.nativeBytes += chunk.byteLength
    if (isLast) this.hasEnded = true
    if (this.isSocketPaused) {
      this.chunksAfterPause += 1
      if (this.chunksAfterPause === chunksAfterPauseMax) this.bounds.calm()
    } else if (chunk.byteLength === nativeReadBytes) {
      this.fullReads += 1
      if (this.fullReads === fullReadsMax) this.bounds.calmNear()
    }
    if (chunk.byteLength > 0 && this.isWanted) {
      if (this.onChunk === undefined) {
        this.early ??= []
        this.early.push(new Uint8Array(chunk.slice(0)))
      } else {
        this.frame?.note(chunk)
        this.deliver(new Uint8Array(chunk))
      }
    }
    if (isLast) this.resolve?.()
    this.pauseAsWanted()
  }

  private deliver(bytes: Uint8Array): void {
    if (!this.isWanted) return
    try {
      this.onChunk?.(bytes)
    } catch (error) {
      this.isWanted = false
      this.reject?.(error)
    }
  }

  private pauseAsWanted(): void {
    if (this.res === undefined) return
    const isKept = this.isHeldByReader || (this.onChunk === undefined && this.early !== undefined)
    const shouldPause = this.isWanted && (this.hasEnded ? this.holdsNext : isKept)
    if (shouldPause === this.isSocketPaused) return
    this.isSocketPaused = shouldPause
    if (shouldPause) this.res.pause()
    else this.res.resume()
  }
}
