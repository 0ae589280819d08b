/**
 * @module Reads the rest of a long request body from its socket in the thread that hashes and writes it:
 * one copy out of the kernel and one into it, by one core, with no other thread in between.
 */
import { closeSync } from 'node:fs'
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net'
import type { LentEnd, LentRest } from '../../../runtime/lent-socket.ts'
import { restOfBody } from './rest-of-body.ts'
import type { UploadFile } from './upload-file.ts'

/** Bytes of one read: they fit the core's cache, and 128 or 512 KiB were not faster. */
const readBytesMax = 256 * 1024

/** How often the lender hears how far it is, ms. A message costs 0.1 ms, so it is not told each MiB. */
const reportMs = 250

/** One buffer for all sockets of the thread: each read is used up before the next. */
let shared: Uint8Array | undefined

export interface Receiving {
  /** Resolves when the descriptor is closed; never rejects. */
  readonly ended: Promise<{ readonly bytes: number; readonly end: LentEnd }>
  stop(): void
}

/**
 * Takes what `lent` says from the socket; of a length, not one byte more. The descriptor is closed in the end.
 * `toldBytes`: at the latest after so many `onProgress` is called.
 */
export function receive(
  file: UploadFile,
  descriptor: number,
  lent: LentRest,
  onProgress: (bytes: number) => void,
  toldBytes = Number.POSITIVE_INFINITY,
): Receiving {
  shared ??= new Uint8Array(readBytesMax)
  const buffer = shared
  const rest = restOfBody(lent)
  let received = 0
  let reported = 0
  let end: LentEnd | undefined
  const report = () => {
    if (received === reported) return
    reported = received
    onProgress(received)
  }
  const options: SocketConstructorOpts & { readonly onread: OnReadOpts } = {
    fd: descriptor,
    allowHalfOpen: true,
    writable: false,
    onread: {
      // Asked once more when nothing is left, and then read no more.
      buffer: () => buffer.subarray(0, Math.max(1, Math.min(rest.wantedBytes, readBytesMax))),
      callback: (count) => {
        if (end !== undefined) return false
        const data = rest.take(buffer.subarray(0, count))
        received += data.length
        file.append(data)
        file.relieve()
        if (received - reported >= toldBytes) report()
        if (rest.end === undefined) return true
        stop(rest.end)
        return false
      },
    },
  }
  let socket: Socket
  try {
    socket = new Socket(options)
  } catch {
    closeSync(descriptor)
    return { ended: Promise.resolve({ bytes: 0, end: 'cut' }), stop: () => {} }
  }
  const timer = setInterval(report, reportMs)
  timer.unref()
  const stop = (how: LentEnd) => {
    end ??= how
    socket.destroy()
  }
  const ended = new Promise<{ bytes: number; end: LentEnd }>((resolve) => {
    socket.on('end', () => stop('gone'))
    socket.on('error', () => stop('gone'))
    socket.on('close', () => {
      clearInterval(timer)
      resolve({ bytes: received, end: end ?? 'gone' })
    })
  })
  socket.resume()
  return { ended, stop: () => stop('cut') }
}
