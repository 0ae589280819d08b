/**
 * @module Which members keep a blob's file, from those that are members now: chosen for an upload, looked up for
 * everything else.
 */
import type { Digest } from '../../registry/digest.ts'
import type { Random } from '../../runtime/random.ts'
import type { MeshMember } from '../peers/peers.ts'
import { groupCount, groupOfRow, ownersOf } from '../placement.ts'
import type { Burden } from './push/rooms.ts'

/** Copies that an acknowledged blob has, where there are as many members and no number was set. */
const writeCopiesDefault = 2

/** A disk that is used by so much more than the mean gets no new files where others can, in thousandths. */
const fullerBy = 50

/** Groups that fit, of which the best is taken; and groups that are looked at for them. */
const choicesMax = 16
const drawsMax = 512

export interface MembersParts {
  /** The number of this node. */
  readonly self: number
  /** Another array whenever anything of it may be other. */
  readonly members: () => readonly MeshMember[]
  /** Members that are known to run now, without this one. */
  readonly present: () => readonly number[]
  /** Files of a blob, where there are as many members, as the mesh has it now. */
  readonly replicationFactor: () => number
  /** Of them, those without which no blob is acknowledged. Default, and for 0: two. */
  readonly writeCopies?: number
  /** Whether a member has room for files, as far as that is known. Default: each has. */
  readonly hasRoom?: (member: number) => boolean
  /** What a new file would come on top of, as far as that is known. Default: nothing. */
  readonly burdenOf?: (member: number) => Burden
  /** These, without this node, were chosen to get a file. */
  readonly onChosen?: (members: readonly number[]) => void
}

/** Owners that cannot take it now; that are much fuller than others; files that go to the others of them. */
type Cost = readonly [lacking: number, fuller: number, files: number]

export interface Choice {
  readonly group: number
  readonly owners: readonly number[]
}

export class Owners {
  readonly self: number
  readonly #parts: MembersParts
  #seen: readonly MeshMember[] | undefined
  #key = ''
  #factor = 0
  #members: readonly MeshMember[] = []
  #active: readonly MeshMember[] = []
  readonly #known = new Map<number, readonly number[]>()

  constructor(parts: MembersParts) {
    this.#parts = parts
    this.self = parts.self
  }

  /** Another array when owners may be others, and only then. */
  get members(): readonly MeshMember[] {
    this.#look()
    return this.#members
  }

  /** Copies without which no blob is acknowledged. */
  get writeCopies(): number {
    this.#look()
    const wanted = this.#parts.writeCopies || writeCopiesDefault
    return Math.max(1, Math.min(wanted, this.#factor, this.#active.length))
  }

  /** Whether a member has room for files, as far as that is known. */
  hasRoom(member: number): boolean {
    return this.#parts.hasRoom?.(member) ?? true
  }

  /** Members that may own what is new. */
  get active(): readonly number[] {
    this.#look()
    return this.#active.filter(({ weight }) => weight > 0).map(({ number }) => number)
  }

  /** Whether a member is known to run now. */
  isPresent(member: number): boolean {
    return member === this.self || this.#parts.present().includes(member)
  }

  /** Members that are not known to run now. */
  get away(): number[] {
    return this.members.map(({ number }) => number).filter((member) => !this.isPresent(member))
  }

  /** Owners of a group, the first one first. */
  of(group: number): readonly number[] {
    this.#look()
    const known = this.#known.get(group)
    if (known !== undefined) return known
    const owners = ownersOf(group, this.#active, this.#factor)
    this.#known.set(group, owners)
    return owners
  }

  /** Owners of a blob that has a row. */
  ofBlob(digest: Digest, row: { readonly group?: number }): readonly number[] {
    return this.of(groupOfRow(digest, row))
  }

  /**
   * The other members, those first that should have the blob and run. Undefined: this node does not know yet who
   * they are.
   */
  sources(digest: Digest, row: { readonly group?: number }): number[] | undefined {
    if (!this.members.some(({ number }) => number === this.self)) return undefined
    const owners = new Set(this.ofBlob(digest, row))
    const present = new Set(this.#parts.present())
    const rank = (member: number) => (owners.has(member) ? 0 : 2) + (present.has(member) ? 0 : 1)
    return this.members
      .map(({ number }) => number)
      .filter((member) => member !== this.self)
      .sort((one, other) => rank(one) - rank(other) || one - other)
  }

  /**
   * A group for a new file, none of whose other owners is among `without`: this node owns it where it can, the
   * others run, and at least `withRoom` have room: as many as a push waits for. Of several that one none of whose owners
   * is much fuller than others, and to whose other owners the fewest files go now. Undefined: there is none.
   */
  choose(
    random: Random,
    without: ReadonlySet<number>,
    withRoom = this.writeCopies,
  ): Choice | undefined {
    const present = new Set([...this.#parts.present(), this.self])
    const isFuller = this.#fuller()
    const canOwn = this.members.some(
      ({ number, state, weight }) =>
        number === this.self && state === 'active' && weight > 0 && this.hasRoom(number),
    )
    const mustOwn = canOwn && !isFuller(this.self)
    let best: (Choice & { readonly cost: Cost }) | undefined
    let choices = 0
    for (let draw = 0; draw < drawsMax && choices < choicesMax; draw += 1) {
      const [high, low] = random.bytes(2)
      const group = ((high! << 8) | low!) % groupCount
      const owners = this.of(group)
      if (owners.length < this.writeCopies || owners.some((it) => without.has(it))) continue
      if (mustOwn && !owners.includes(this.self)) continue
      const full = owners.filter((it) => !this.hasRoom(it)).length
      if (owners.length - full < withRoom) continue
      choices += 1
      const lacking = full + owners.filter((it) => !present.has(it)).length
      const files = sumOf(owners, (it) => (it === this.self ? 0 : this.#burdenOf(it).files))
      const cost = [lacking, owners.filter(isFuller).length, files] as const
      if (best === undefined || isLess(cost, best.cost)) best = { group, owners, cost }
      if (best.cost.every((it) => it === 0)) break
    }
    if (best === undefined) return undefined
    this.#parts.onChosen?.(best.owners.filter((it) => it !== this.self))
    return best
  }

  /** Tells of a member whether its disk is much fuller than those of all that may own something. */
  #fuller(): (member: number) => boolean {
    const known = this.active.flatMap((it) => this.#burdenOf(it).used ?? [])
    const limit = sumOf(known, (it) => it) / known.length + fullerBy
    return (member) => (this.#burdenOf(member).used ?? 0) > limit
  }

  #burdenOf(member: number): Burden {
    return this.#parts.burdenOf?.(member) ?? { used: undefined, files: 0 }
  }

  #look(): void {
    const members = this.#parts.members()
    const factor = this.#parts.replicationFactor()
    if (factor !== this.#factor) {
      this.#factor = factor
      this.#known.clear()
      // For those who look whether owners are others.
      this.#members = [...this.#members]
    }
    if (members === this.#seen) return
    this.#seen = members
    // They are told again with every word of any of them.
    const key = members.map((it) => [it.number, it.state, it.weight, it.zone].join(' ')).join('\n')
    if (key === this.#key) return
    this.#key = key
    this.#members = members
    this.#active = members.filter(({ state }) => state === 'active')
    this.#known.clear()
  }
}

function isLess(one: Cost, other: Cost): boolean {
  const at = one.findIndex((it, place) => it !== other[place])
  return at !== -1 && one[at]! < other[at]!
}

function sumOf(numbers: readonly number[], of: (it: number) => number): number {
  return numbers.reduce((sum, it) => sum + of(it), 0)
}
