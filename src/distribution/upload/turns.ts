/**
 * @module Turns on upload sessions. One request at a time writes to a session, and no turn is held
 * across waiting for a client without a bound: a connection that was lost and never closed would hold
 * it for minutes, while its own client stands in line behind it and tries again.
 *
 *   a newer request comes ──► the holder's client sends nothing for `stallMs` ──► the holder is cut
 *                         ├─► the holder goes on sending for `waitMs` ──────────► the newer is refused
 *                         ├─► the newer cancels the session ────────────────────► the holder is cut
 *                         └─► the holder has its body (hash, flush, rows) ──────► the newer waits
 */
import type { Clock } from '../../runtime/clock.ts'
import { KeyedLock } from '../../runtime/keyed-lock.ts'
import type { LentSocket } from '../../runtime/lent-socket.ts'
import type { UploadBody } from './body.ts'

/** A client that sends nothing for so long while another request waits has lost its turn, ms. */
const stallMs = 1_000

/** How long a request waits for one that goes on sending, ms. */
const waitMs = 1_800

/** How often those in line look, ms. */
const lookMs = 100

/** The end of a turn that was taken away. */
export class TakenOver extends Error {
  constructor() {
    super('a newer request has taken the session over')
  }
}

export interface TurnOptions {
  /** The request's: when its client leaves the line, the request is not carried out any more. */
  readonly body: UploadBody | undefined
  /** The request ends the session: it waits for no client. */
  readonly isEnding: boolean
  /** What a request is refused with whose turn did not come. */
  readonly refuse: () => Error
}

export class UploadTurns {
  readonly #clock: Clock
  readonly #locks = new KeyedLock()
  readonly #holders = new Map<string, Turn>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  isHeld(id: string): boolean {
    return this.#locks.isHeld(id)
  }

  /**
   * Runs `work` when it is its turn. Rejects within two seconds with `refuse()` while a client goes on
   * sending to the session, and with the reason of its body's signal when its client leaves meanwhile.
   */
  run<T>(id: string, options: TurnOptions, work: (turn: Turn) => Promise<T>): Promise<T> {
    const place: Place = { hasBegun: false, refusal: undefined }
    const done = this.#locks.run(id, async () => {
      if (place.refusal !== undefined) throw place.refusal
      place.hasBegun = true
      const turn = new Turn(this.#clock)
      this.#holders.set(id, turn)
      try {
        return await work(turn)
      } finally {
        this.#holders.delete(id)
      }
    })
    return place.hasBegun ? done : this.#waitInLine(id, options, place, done)
  }

  #waitInLine<T>(
    id: string,
    { body, isEnding, refuse }: TurnOptions,
    place: Place,
    done: Promise<T>,
  ): Promise<T> {
    const since = this.#clock.monotonic()
    const signal = body?.signal
    return new Promise((resolve, reject) => {
      const give = (refusal: Error) => {
        place.refusal = refusal
        reject(refusal)
      }
      const look = () => {
        if (place.hasBegun || place.refusal !== undefined) return clearInterval(timer)
        if (signal?.aborted === true) return give(signal.reason as Error)
        const holder = this.#holders.get(id)
        if (holder === undefined || !holder.isReceiving) return
        if (isEnding || holder.silentMs >= stallMs) holder.takeAway()
        else if (this.#clock.monotonic() - since >= waitMs) give(refuse())
      }
      const timer = setInterval(look, lookMs)
      look()
      signal?.addEventListener('abort', look, { once: true })
      done.then(resolve, reject).finally(() => {
        clearInterval(timer)
        signal?.removeEventListener('abort', look)
      })
    })
  }
}

interface Place {
  hasBegun: boolean
  refusal: Error | undefined
}

/** One request's turn; the body that it reads goes through it. */
export class Turn {
  readonly #clock: Clock
  #cut: ((error: Error) => void) | undefined
  #isPaused = false
  #lastByteAt = 0
  #lent: LentSocket | undefined
  #lentBytes = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether the turn waits for bytes of its client, rather than for the disk. */
  get isReceiving(): boolean {
    return this.#cut !== undefined && !this.#isPaused
  }

  /** How long its client has sent nothing, ms. */
  get silentMs(): number {
    const lentBytes = this.#lent?.receivedBytes ?? 0
    if (lentBytes !== this.#lentBytes || this.#lent?.isBehind === true) {
      this.#lentBytes = lentBytes
      this.#lastByteAt = this.#clock.monotonic()
    }
    return this.#clock.monotonic() - this.#lastByteAt
  }

  /** Ends the reading of its body with `TakenOver`; later bytes are refused. */
  takeAway(): void {
    this.#cut?.(new TakenOver())
    this.#lent?.cut()
  }

  /** The same body, whose reading this turn can end. */
  hold(body: UploadBody): UploadBody {
    return {
      bodyBytes: body.bodyBytes,
      readBody: (onChunk) => this.#read(body, onChunk),
      pause: () => {
        this.#isPaused = true
        body.pause()
      },
      resume: () => {
        this.#isPaused = false
        this.#lastByteAt = this.#clock.monotonic()
        body.resume()
      },
      lend: (bytesMin) => {
        this.#lent = body.lend?.(bytesMin)
        return this.#lent
      },
    }
  }

  #read(body: UploadBody, onChunk: (bytes: Uint8Array) => void): Promise<void> {
    this.#lastByteAt = this.#clock.monotonic()
    return new Promise<void>((resolve, reject) => {
      let taken: Error | undefined
      this.#cut = (error) => {
        taken = error
        reject(error)
      }
      body
        .readBody((bytes) => {
          if (taken !== undefined) throw taken
          this.#lastByteAt = this.#clock.monotonic()
          onChunk(bytes)
        })
        .then(resolve, reject)
    }).finally(() => {
      this.#cut = undefined
    })
  }
}
