/**
 * @module What the kernel may hold of a connection, in both directions.
 *
 * Out: left alone, a reader that takes nothing gets 4 MiB of socket buffer, and a few hundred of them
 * use up what the kernel has for all sockets of the machine (measured: every send then takes 20 times
 * as long). A bound on bytes that are not sent yet leaves those in flight alone, so that a reader far
 * away is as fast as before; near ones get faster, because the copies stay in the processor's cache.
 * What waits unsent is sent by the core where the reader's acknowledgement comes in, the rest by ours:
 * on one machine that is the client's. It helps where a server that only copies is the limit; where
 * the client has to decipher, the client is.
 *
 * In: the native side reads a socket again at once while every read fills its 512 KiB buffer, whether
 * the socket is paused or not: a sender on a fast link then holds the event loop (measured: 370 ms)
 * and fills memory past every bound. A receive queue that holds less than one buffer ends the loop.
 * Only sockets with a full queue are touched, because a small queue would slow a sender that is far
 * away: one that is near as soon as it fills two buffers (4 MiB in one go took 2 ms, in which nobody
 * else was answered), any that goes on after it was paused.
 */
import { readdirSync } from 'node:fs'
import { type Libc, loadLibc } from '../../../runtime/libc.ts'

/** A queue with this many bytes belongs to a sender that is faster than we are. */
const queueIsFullBytes = 256 * 1024

/** What the kernel is told; it doubles it for its own accounting, payload stays below 512 KiB. */
const receiveQueueBytes = 192 * 1024

/**
 * A sender is near up to this round trip, µs: what `receiveQueueBytes` lets it send is then 200 MB/s
 * or more.
 */
const nearRoundTripUs = 2_000

/** What the native side reads of a socket at once, bytes: it reads again when it got as much. */
export const nativeReadBytes = 512 * 1024

/** Such reads in a row after which a sender that is near is bounded. */
export const fullReadsMax = 2

/** Chunks that may come in after a pause before the queue is bounded. */
export const chunksAfterPauseMax = 2

/** Of its time, looks at senders that were not paused may take one in so many parts. */
const calmNearShare = 100

export class SocketBounds {
  private loaded: Libc | 'unavailable' | undefined = undefined
  private nextLookAt = 0

  /**
   * Bounds what every connection that is accepted from now on holds unsent, bytes: the listener that
   * was just opened hands it down. Those that have a bound keep it.
   */
  boundUnsent(bytes: number): void {
    const { libc } = this
    if (libc === undefined) return
    for (const descriptor of openDescriptors()) {
      if (!libc.isListening(descriptor) || libc.unsentLimit(descriptor) > 0) continue
      libc.limitUnsent(descriptor, bytes)
    }
  }

  /**
   * Bounds the receive queue of every socket that is full now: one look at the open descriptors
   * (about 1 µs each), once for a sender that went on after it was paused.
   */
  calm(): void {
    this.bound(() => true)
  }

  /** The same for those alone that are near, and not at once again where a look takes long. */
  calmNear(): void {
    const startedAt = performance.now()
    if (startedAt < this.nextLookAt) return
    this.bound((libc, descriptor) => {
      // 0: not measured yet.
      const roundTripUs = libc.roundTripUs(descriptor) ?? 0
      return roundTripUs > 0 && roundTripUs <= nearRoundTripUs
    })
    this.nextLookAt = startedAt + calmNearShare * (performance.now() - startedAt)
  }

  private bound(isMeant: (libc: Libc, descriptor: number) => boolean): void {
    const { libc } = this
    if (libc === undefined) return
    for (const descriptor of openDescriptors()) {
      if (libc.queuedBytes(descriptor) < queueIsFullBytes || !isMeant(libc, descriptor)) continue
      libc.limitReceiveQueue(descriptor, receiveQueueBytes)
    }
  }

  private get libc(): Libc | undefined {
    if (this.loaded === undefined) {
      const loaded = loadLibc()
      this.loaded = 'unavailable' in loaded ? 'unavailable' : loaded
    }
    return this.loaded === 'unavailable' ? undefined : this.loaded
  }
}

function openDescriptors(): number[] {
  return readdirSync('/proc/self/fd').map(Number)
}
