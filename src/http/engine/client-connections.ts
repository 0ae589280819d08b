/**
 * @module How many connections a client has, so that nobody holds all of them: an eighth at most, and
 * those of a /48 together four times as many. Not counted are the connections of trusted proxies,
 * which are many clients'.
 */
import { clientKey, networkKey, networkShare } from '../../runtime/client-key.ts'
import type { EngineOptions } from './port.ts'

/** Of one client, whatever the server takes in all. */
const perClientMax = 1_000
/** Part of all connections that a client may have. */
const shareOfAll = 8

/** Connections that one client may have. */
export function connectionsPerClient(maxConnections: number): number {
  return Math.max(1, Math.min(perClientMax, Math.floor(maxConnections / shareOfAll)))
}

/**
 * Whose share a connection counts against; undefined: nobody's. `named`: what a PROXY protocol header
 * said.
 */
export function sharerOf(
  { isTrustedProxy, isBalancer }: EngineOptions,
  peer: string,
  named: string | undefined,
): string | undefined {
  if (peer === '' || (named === undefined && isBalancer?.(peer) === true)) return undefined
  const speaker = named ?? peer
  return isTrustedProxy?.(speaker) === true ? undefined : clientKey(speaker)
}

/** One connection that is counted. */
export interface Counted<T> {
  readonly of: T
  /** The client, and its /48 if it has one. */
  readonly keys: readonly string[]
}

export class ClientConnections<T> {
  readonly #max: number
  readonly #byKey = new Map<string, Set<Counted<T>>>()

  constructor(maxConnections: number) {
    this.#max = connectionsPerClient(maxConnections)
  }

  /** Counts a connection of `client`; where there are too many, those that are in the way. */
  take(client: string, of: T): Counted<T> | { readonly full: ReadonlySet<Counted<T>> } {
    const network = networkKey(client)
    const own = this.#byKey.get(client)
    if (own !== undefined && own.size >= this.#max) return { full: own }
    const theirs = network === undefined ? undefined : this.#byKey.get(network)
    if (theirs !== undefined && theirs.size >= this.#max * networkShare) return { full: theirs }
    const counted = { of, keys: network === undefined ? [client] : [client, network] }
    for (const key of counted.keys) {
      const set = this.#byKey.get(key)
      if (set === undefined) this.#byKey.set(key, new Set([counted]))
      else set.add(counted)
    }
    return counted
  }

  give(counted: Counted<T>): void {
    for (const key of counted.keys) {
      const set = this.#byKey.get(key)
      set?.delete(counted)
      if (set?.size === 0) this.#byKey.delete(key)
    }
  }
}
