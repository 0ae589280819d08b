/**
 * @module How the copies of this node stand to its rows, as the last pass of the repair has counted them. Nothing is
 * known from the moment when owners may be others until a pass has been made over all rows.
 */

/**
 * `owned`: here, and this node owns it. `lacking`: owned and not here. `kept`: here, others own it, and they have not
 * taken it over yet. `cached`: here for pulls alone.
 */
export const copyKinds = ['owned', 'lacking', 'kept', 'cached'] as const
export type CopyKind = (typeof copyKinds)[number]

export interface Amount {
  readonly blobs: number
  readonly bytes: number
}

export interface CopyFigures extends Readonly<Record<CopyKind, Amount>> {
  /** Number of the pass in this run of the node, 1 or more. */
  readonly pass: number
  /** When it was counted, ms since 1970; what the repair has done since is in it. */
  readonly countedAt: number
}

type Sums = Record<CopyKind, { blobs: number; bytes: number }>

export class Standing {
  readonly #membersNow: () => unknown
  #pass = 0
  #countedFor: unknown
  #next: Sums = noCopies()
  #known: { readonly of: unknown; readonly sums: Sums; readonly countedAt: number } | undefined

  /** `membersNow`: another object whenever owners may be others. */
  constructor(membersNow: () => unknown) {
    this.#membersNow = membersNow
  }

  /** Undefined: not known yet. */
  get figures(): CopyFigures | undefined {
    const known = this.#known
    if (known === undefined || known.of !== this.#membersNow()) return undefined
    const { sums, countedAt } = known
    const copies = Object.fromEntries(copyKinds.map((kind) => [kind, { ...sums[kind] }]))
    return { ...(copies as unknown as Sums), pass: this.#pass, countedAt }
  }

  /** A pass begins. */
  begin(): void {
    this.#countedFor = this.#membersNow()
    this.#next = noCopies()
  }

  count(kind: CopyKind, bytes: number): void {
    add(this.#next[kind], 1, bytes)
  }

  /** All rows were looked at. */
  finish(countedAt: number): void {
    this.#pass += 1
    this.#known = { of: this.#countedFor, sums: this.#next, countedAt }
    this.#next = noCopies()
  }

  /** The repair has made one of these out of one of those, behind `finish`. */
  move(from: CopyKind, to: CopyKind, bytes: number): void {
    if (this.#known === undefined) return
    add(this.#known.sums[from], -1, -bytes)
    add(this.#known.sums[to], 1, bytes)
  }
}

function noCopies(): Sums {
  const nothing = () => ({ blobs: 0, bytes: 0 })
  return { owned: nothing(), lacking: nothing(), kept: nothing(), cached: nothing() }
}

function add(sum: Sums[CopyKind], blobs: number, bytes: number): void {
  sum.blobs = Math.max(0, sum.blobs + blobs)
  sum.bytes = Math.max(0, sum.bytes + bytes)
}
