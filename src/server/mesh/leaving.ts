/**
 * @module This node leaves its mesh for good, while the others go on: nothing that it has is lost with it.
 *
 *   draining       it gets nothing new, and its vote in etcd goes to others
 *   handing over   until a pass over all rows has found nothing that is not its owners', each of which has read its own
 *                  copy; nothing here that no other disk has; no upload that rests on a copy of this node
 *   giving up      its role in etcd, where it has one
 *   handed over    it says so for a moment, as it answers nothing more afterwards
 *   left           it is no member; its process ends
 *
 * It takes no new promise once all is handed over: so the last pass, which begins behind the last promise, sees all that
 * may ever rest on this node. What it was asked for is kept on its disk: a node that is stopped meanwhile goes on with
 * it in its next run, unless it was taken back.
 */
import type { MeshMember } from '../../mesh/peers/peers.ts'
import type { CopyCare } from '../../mesh/standing/care.ts'
import type { MemberState } from '../../metadata/rows/mesh.ts'
import { RegistryError } from '../../registry/errors.ts'

/** Between two looks at how far it is, ms. */
const lookMs = 500
/** How long a node says that all is handed over, ms: more than twice the time between two questions. */
const lastWordsMs = 2_000

export type LeavingStep = 'handing over' | 'giving up its vote' | 'handed over' | 'left'

export interface LeavingParts {
  readonly member: number
  readonly members: () => readonly MeshMember[]
  /** Members to which the stream is open. */
  readonly reached: () => readonly number[]
  /** Voters of etcd by the number of their member, this node among them or not; undefined: etcd is run by others. */
  readonly voters: () => readonly number[] | undefined
  /** Whether it is on its way out, for the next run. On the disk when it resolves. */
  readonly keep: (isLeaving: boolean) => Promise<void>
  readonly setState: (member: number, state: MemberState) => Promise<boolean>
  readonly care: Pick<
    CopyCare,
    'figures' | 'passes' | 'pins' | 'only' | 'repair' | 'repairAll' | 'close'
  >
  /** Rejects when the node is closed. */
  readonly pause: (ms: number) => Promise<void>
  readonly onStep: (step: LeavingStep) => void
  readonly onError: (error: unknown) => void
  /** The process may end. */
  readonly onLeft: () => void
}

/** Why it cannot leave; undefined: it can. */
export function whyItStays({ member, members, reached, voters }: LeavingParts): string | undefined {
  const others = members().filter(({ number }) => number !== member)
  if (others.length === 0) {
    return 'a mesh of one node has no other to hand over to: stop it and use "fastregistry mesh detach"'
  }
  const heirs = others.filter(({ state, weight }) => state === 'active' && weight > 0)
  if (heirs.length === 0)
    return 'no other node of the mesh is active: what this one has would be lost'
  const away = heirs.filter(({ number }) => !reached().includes(number))
  if (away.length === heirs.length) return 'no other active node of the mesh is reached'
  const voting = voters()
  if (voting === undefined || !voting.includes(member)) return undefined
  const rest = voting.filter((number) => number !== member)
  const up = rest.filter((number) => reached().includes(number))
  if (rest.length === 0 || up.length > rest.length / 2) return undefined
  return 'too few of the other nodes that vote in etcd are reached: without the vote of this one there would be no log'
}

export class Leaving {
  readonly #parts: LeavingParts
  #step: LeavingStep | undefined

  constructor(parts: LeavingParts) {
    this.#parts = parts
  }

  /** Undefined: it does not leave. */
  get step(): LeavingStep | undefined {
    return this.#step
  }

  /** Resolves when all nodes know that it leaves; it goes on by itself. Rejects with why it cannot. */
  async begin(): Promise<void> {
    const { member, setState } = this.#parts
    if (this.#step !== undefined) return
    this.#refuse()
    if (!(await setState(member, 'draining'))) {
      throw new RegistryError('ADMIN_CONFLICT', { message: 'this node is no member any more' })
    }
    try {
      // Another one may have begun to leave in the same moment.
      this.#refuse()
    } catch (error) {
      await setState(member, 'active')
      throw error
    }
    if (this.#step !== undefined) return
    this.#to('handing over')
    try {
      await this.#parts.keep(true)
    } finally {
      this.#start()
    }
  }

  /** An earlier run was asked to leave: this one goes on with it. Resolves when it has begun, or is to stay. */
  async goOn(): Promise<void> {
    const { pause, keep } = this.#parts
    // Rows and peers come a moment after the start.
    while (this.#own === undefined) await pause(lookMs)
    while (this.#own?.state === 'draining' && whyItStays(this.#parts) !== undefined) {
      await pause(lookMs)
    }
    if (this.#step !== undefined) return
    if (this.#own?.state !== 'draining') return keep(false)
    this.#to('handing over')
    this.#start()
  }

  #start(): void {
    this.#run().catch(async (error: unknown) => {
      this.#step = undefined
      const isTakenBack = this.#own?.state !== 'draining'
      if (isTakenBack) await this.#parts.keep(false).catch(() => undefined)
      this.#parts.onError(error)
    })
  }

  #refuse(): void {
    const message = whyItStays(this.#parts)
    if (message !== undefined) throw new RegistryError('ADMIN_CONFLICT', { message })
  }

  async #run(): Promise<void> {
    const { member, setState, care, onLeft } = this.#parts
    try {
      await this.#passed((kept) => kept === 0)
      // From here on nothing new rests on this node.
      care.close(true)
      await this.#until(() => care.pins === 0)
      while (!(await this.#isEmpty())) await this.#until(() => true)
      this.#to('giving up its vote')
      await this.#until(() => this.#parts.voters()?.includes(member) !== true)
      this.#to('handed over')
      await this.#until(() => true, lastWordsMs)
    } catch (error) {
      care.close(false)
      throw error
    }
    this.#to('left')
    while (this.#own !== undefined) {
      await setState(member, 'left').catch(() => this.#parts.pause(lookMs))
    }
    onLeft()
  }

  /** Whether a pass that begins now finds all handed over, and other disks have all that is here. */
  async #isEmpty(): Promise<boolean> {
    const { care } = this.#parts
    const kept = await this.#passed(() => true)
    if (kept > 0) return false
    const only = await care.only().catch(() => undefined)
    if (only?.blobs === 0) return true
    // Their owners have lost theirs, and do not know it yet.
    await care.repairAll()
    return false
  }

  /** Waits for passes that begin behind this moment, until one is enough. Resolves with the copies that are kept. */
  async #passed(isEnough: (kept: number) => boolean): Promise<number> {
    const { care } = this.#parts
    const wanted = care.repair()
    let kept: number | undefined
    await this.#until(() => {
      kept = care.passes >= wanted ? care.figures?.kept.blobs : undefined
      return kept !== undefined && isEnough(kept)
    })
    return kept!
  }

  /** Looks again and again, the first time after a while. Rejects when this node is to stay. */
  async #until(holds: () => boolean, ms = lookMs): Promise<void> {
    do {
      await this.#parts.pause(ms)
      if (this.#own?.state !== 'draining') {
        throw new Error('this node was taken back, or removed, while it was leaving')
      }
    } while (!holds())
  }

  get #own(): MeshMember | undefined {
    const { member, members } = this.#parts
    return members().find(({ number }) => number === member)
  }

  #to(step: LeavingStep): void {
    this.#step = step
    this.#parts.onStep(step)
  }
}
