/**
 * @module Senders that outrun us. The native side reads a socket again at once while every read
 * fills its 512 KiB buffer, whether the socket is paused or not: a sender on a fast link then holds
 * the event loop (measured: 370 ms) and fills memory past every bound. A receive queue that holds
 * less than one buffer ends the loop. Only sockets with a full queue are touched, because a small
 * queue would slow a sender that is far away.
 */
import { readdirSync } from 'node:fs'
import { type Libc, loadLibc } from '../runtime/libc.ts'

/** A queue with this many bytes belongs to a sender that is faster than we are. */
const queueIsFullBytes = 256 * 1024

/** What the kernel is told; it doubles it for its own accounting, payload stays below 512 KiB. */
const receiveQueueBytes = 192 * 1024

/** Chunks that may come in after a pause before the queue is bounded. */
export const chunksAfterPauseMax = 2

export class FastSenders {
  private libc: Libc | undefined = undefined
  private isUnavailable = false

  /**
   * Bounds the receive queue of every socket that is full now: one look at the open descriptors
   * (about 1 µs each), once for a sender that went on after it was paused.
   */
  calm(): void {
    if (this.libc === undefined && !this.isUnavailable) {
      const loaded = loadLibc()
      if ('unavailable' in loaded) this.isUnavailable = true
      else this.libc = loaded
    }
    const { libc } = this
    if (libc === undefined) return
    for (const name of readdirSync('/proc/self/fd')) {
      const descriptor = Number(name)
      if (libc.queuedBytes(descriptor) >= queueIsFullBytes) {
        libc.limitReceiveQueue(descriptor, receiveQueueBytes)
      }
    }
  }
}
