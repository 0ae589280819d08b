/**
 * @module Requests and bytes a second of one client (`runtime/client-key.ts`) and of one user. Beyond them a request waits
 * for a moment, then it is refused with 503 and Retry-After: never with 429, which containerd
 * repeats at once, five times.
 */

import { RegistryError } from '../registry/errors.ts'
import { clientKey, networkKey, networkShare } from '../runtime/client-key.ts'
import type { Clock } from '../runtime/clock.ts'
import { Throttle } from '../runtime/throttle.ts'
import type { HttpRequest } from './engine/port.ts'

/** Longest wait of a request, and how many may wait at a time. */
const waitSecondsMax = 1
const waitingMax = 1_000

const keysMax = 50_000

export interface LimitSettings {
  /** 0: no limit. */
  readonly requestsPerSecond: number
  readonly bytesPerSecond: number
}

export class RequestLimits {
  readonly #requests: Throttle | undefined
  readonly #bytes: Throttle | undefined
  /** The same by /48, which has more. */
  readonly #networkRequests: Throttle | undefined
  readonly #networkBytes: Throttle | undefined
  #waiting = 0

  constructor(settings: LimitSettings, clock: Pick<Clock, 'monotonic'>) {
    const throttle = (perSecond: number) =>
      perSecond === 0 ? undefined : new Throttle({ burst: perSecond, perSecond, keysMax, clock })
    this.#requests = throttle(settings.requestsPerSecond)
    this.#bytes = throttle(settings.bytesPerSecond)
    this.#networkRequests = throttle(settings.requestsPerSecond * networkShare)
    this.#networkBytes = throttle(settings.bytesPerSecond * networkShare)
  }

  /** Undefined: go on at once. Throws CLIENT_LIMITED when the wait would be long. */
  takeAddress(request: HttpRequest): Promise<void> | undefined {
    // Whoever asks whether we live is not a client.
    if (request.path === '/health' || request.path === '/healthz') return undefined
    const client = clientKey(request.remoteAddress)
    return this.#take(`client ${client}`, networkKey(client))
  }

  takeUser(request: HttpRequest): Promise<void> | undefined {
    return this.#take(`user ${request.caller.name}`)
  }

  /** Books what a request has moved, when it is over. */
  charge(request: HttpRequest, bytes: number): void {
    if (this.#bytes === undefined || bytes === 0) return
    const { caller, remoteAddress } = request
    const client = clientKey(remoteAddress)
    const network = networkKey(client)
    this.#bytes.spend(`client ${client}`, bytes)
    if (network !== undefined) this.#networkBytes!.spend(network, bytes)
    if (caller.kind === 'user') this.#bytes.spend(`user ${caller.name}`, bytes)
  }

  #take(key: string, network?: string): Promise<void> | undefined {
    let seconds = Math.max(
      this.#requests?.waitSeconds(key) ?? 0,
      this.#bytes?.waitSeconds(key) ?? 0,
    )
    if (network !== undefined) {
      seconds = Math.max(
        seconds,
        this.#networkRequests?.waitSeconds(network) ?? 0,
        this.#networkBytes?.waitSeconds(network) ?? 0,
      )
    }
    if (seconds > waitSecondsMax || (seconds > 0 && this.#waiting >= waitingMax)) {
      throw new RegistryError('CLIENT_LIMITED', {
        facts: { retryAfterSeconds: Math.ceil(seconds) },
      })
    }
    this.#requests?.spend(key)
    if (network !== undefined) this.#networkRequests?.spend(network)
    if (seconds === 0) return undefined
    this.#waiting += 1
    return new Promise((resolve) => {
      setTimeout(() => {
        this.#waiting -= 1
        resolve()
      }, seconds * 1000)
    })
  }
}
