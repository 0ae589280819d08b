/**
 * @module Whether the disk of a node has room for the rows that all nodes write. Pushes through this node are refused
 * at the reserve (`blobs/files/room.ts`); what others push comes as rows all the same, and etcd and the tail of the log
 * grow beside them. So the node gives way before the disk is full, in two steps:
 *
 *   enough ── half of the reserve ──► short ── a quarter ──► full
 *
 * `short`: no write waits for its reads. `full`: it applies nothing more. Each step back is at half as much again.
 */
export type RoomState = 'enough' | 'short' | 'full'

export class RoomWatch {
  readonly #reserveBytes: number
  #state: RoomState = 'enough'

  /** 0: there is always room. */
  constructor(reserveBytes: number) {
    this.#reserveBytes = reserveBytes
  }

  /** What follows from so many bytes that are free. */
  judge(freeBytes: number): RoomState {
    const reserve = this.#reserveBytes
    const shortAt = this.#state === 'enough' ? reserve / 2 : (reserve * 3) / 4
    const fullAt = this.#state === 'full' ? (reserve * 3) / 8 : reserve / 4
    this.#state = freeBytes < fullAt ? 'full' : freeBytes < shortAt ? 'short' : 'enough'
    return this.#state
  }
}
