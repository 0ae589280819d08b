/**
 * @module What a simulated mesh has promised about copies, kept beside it from the entries of its log and the
 * answers of its nodes alone; says when a promise is broken (invariants M4 and M5 of the design of the mesh).
 */
import type { AppliedEntry } from '../../../src/metadata/entry.ts'
import type { HeldCopy, Transaction } from '../../../src/metadata/transaction.ts'
import type { PinNode } from './pin-node.ts'

export class PinLedger {
  readonly violations: string[] = []
  /** Blobs whose rows went. */
  swept = 0
  readonly #nodes: readonly PinNode[]
  readonly #copiesMin: number
  /** Pins that are not over, for each member by run and number. */
  readonly #pins = new Map<number, Map<string, string>>()
  /** For each blob that has a row the members whose copies it counts on. */
  readonly #promised = new Map<string, Set<number>>()
  #lastIndex = 0

  constructor(nodes: readonly PinNode[], copiesMin: number) {
    this.#nodes = nodes
    this.#copiesMin = copiesMin
  }

  onPin(digest: string, copy: HeldCopy): void {
    this.#pinsOf(copy.member).set(nameOf(copy), digest)
    if (!this.#node(copy.member).files.isFlushed(digest)) this.#broken(`pinned unflushed ${digest}`)
  }

  onEnd(copy: HeldCopy): void {
    this.#pinsOf(copy.member).delete(nameOf(copy))
  }

  /** M5: nothing here keeps the file that goes, and no row counts on it when it is gone. */
  onDiscard(node: PinNode, digest: string, step: 'decided' | 'done'): void {
    const what = `${node.name} removes ${digest}`
    if (step === 'done') {
      if (this.#promised.get(digest)?.has(node.number) === true) {
        this.#broken(`${what}, which a row counts on`)
      }
      return
    }
    if (node.hasRow(digest)) this.#broken(`${what}, whose row it has`)
    for (const [pin, pinned] of this.#pinsOf(node.number)) {
      if (pinned === digest) this.#broken(`${what}, on which pin ${pin} rests`)
    }
  }

  onCrash(node: PinNode): void {
    this.#pinsOf(node.number).clear()
    this.#lookAt(node)
  }

  /** Entries stand in the view of this node. */
  onApplied(node: PinNode, entries: readonly AppliedEntry[]): void {
    for (const entry of entries) {
      if (entry.index > this.#lastIndex) {
        this.#lastIndex = entry.index
        this.#onFirst(entry)
      }
      for (const copy of usedIn(entry)) if (copy.member === node.number) this.onEnd(copy)
      if (entry.member !== node.number) continue
      for (const it of entry.body.controls) {
        if (it.control !== 'revoke') continue
        for (const pin of it.pins) this.onEnd({ member: entry.member, boot: entry.boot, pin })
      }
    }
  }

  /** Copies that rows count on, and files that nothing keeps: for the end, when all is at rest. */
  lookAtAll(): void {
    for (const node of this.#nodes) {
      this.#lookAt(node)
      for (const digest of node.files.names) {
        if (!node.hasRow(digest)) this.#broken(`${node.name} has kept ${digest}`)
      }
      for (const digest of node.files.trashed) {
        if (node.disk.get('trash', digest) === undefined) {
          this.#broken(`${node.name} has ${digest} in its trash`)
        }
      }
      if (node.copies.pinCount > 0) this.#broken(`${node.name} has pins`)
    }
  }

  #lookAt(node: PinNode): void {
    for (const [digest, members] of this.#promised) {
      if (members.has(node.number) && !node.files.isFlushed(digest)) {
        this.#broken(`${node.name} has lost ${digest}`)
      }
    }
  }

  /** M4: at its place in the log, before any node knows more than that. */
  #onFirst(entry: AppliedEntry): void {
    for (const [at, it] of entry.body.transactions.entries()) {
      const outcome = entry.outcomes[at]
      if (outcome?.applied !== true) continue
      for (const digest of arrivedIn(it)) this.#onArrival(entry.index, digest, it)
      for (const change of it.changes) {
        if (change.change !== 'sweep') continue
        for (const verdict of outcome.verdicts ?? []) {
          const candidate = change.batch.candidates[verdict.index]
          if (verdict.is === 'bytes-left' && candidate?.kind === 'blob') {
            this.#promised.delete(candidate.digest)
            this.swept += 1
          }
        }
      }
    }
  }

  #onArrival(index: number, digest: string, it: Transaction): void {
    const promised = this.#promised.get(digest) ?? new Set()
    this.#promised.set(digest, promised)
    for (const { member } of copiesIn(it)) {
      promised.add(member)
      if (!this.#node(member).files.isFlushed(digest)) {
        this.#broken(`the row of ${digest} comes at ${index} without the copy on ${member}`)
      }
    }
    if (promised.size < this.#copiesMin) this.#broken(`${digest} has too few copies at ${index}`)
  }

  #node(member: number): PinNode {
    return this.#nodes[member - 1]!
  }

  #pinsOf(member: number): Map<string, string> {
    const pins = this.#pins.get(member) ?? new Map<string, string>()
    this.#pins.set(member, pins)
    return pins
  }

  #broken(what: string): void {
    this.violations.push(what)
  }
}

function nameOf({ boot, pin }: HeldCopy): string {
  return `${boot}.${pin}`
}

function usedIn({ body, outcomes }: AppliedEntry): HeldCopy[] {
  return body.transactions.flatMap((it, at) => (outcomes[at]?.applied === true ? copiesIn(it) : []))
}

function copiesIn({ checks }: Transaction): readonly HeldCopy[] {
  return checks.flatMap((it) => (it.check === 'held' ? it.copies : []))
}

function arrivedIn({ changes }: Transaction): string[] {
  return changes.flatMap((it) => (it.change === 'arrive' ? [it.key as string] : []))
}
