/**
 * @module Keeps slow clients connected. The native side closes a connection whose client sends less
 * than 160 KB, or takes nothing, for as long as an idle one is kept, and has no setting for it. Pausing
 * and resuming a socket starts that timer anew, so whoever waits for a slow client is refreshed here,
 * until `http/engine/keeper.ts` gives it up.
 */
import { Keeper } from '../keeper.ts'
import { SocketBounds } from './socket-bounds.ts'

/** All exchanges of one engine that have a body to receive or a blocked answer. */
export class UwsKeeper extends Keeper {
  readonly bounds = new SocketBounds()
  /** Connections that the native side does not know at the moment. */
  readonly lent = new Set<{ close(): void }>()
}
