/**
 * @module Uploads that other members get while they arrive here: their group is chosen when they begin to go to a
 * file, and each other owner that a push waits for tails that file. No client waits for them, and no byte is held in
 * memory for a slow one. One that fails is replaced by the next, which begins at the start of the file.
 */
import type { UploadTail } from '../../../blobs/port.ts'
import type { Arriving } from '../../../blobs/shared-port.ts'
import type { Time } from '../../../metadata/log/etcd/time.ts'
import type { HeldCopy } from '../../../metadata/transaction.ts'
import type { Algorithm, Digest } from '../../../registry/digest.ts'
import type { Random } from '../../../runtime/random.ts'
import type { Choice, Owners } from '../owners.ts'
import { idleMs } from '../protocol.ts'
import type { CopyStreamParts, OutgoingCopy } from './stream.ts'

/** Between two looks at an upload: what there is is sent, or it is let go, ms. */
const lookMs = 10_000
/** Members that are begun with for one upload: then it is sent when it is whole. */
const streamsMax = 6

export interface ArrivalsParts {
  readonly owners: Owners
  readonly ask: {
    stream(
      member: number,
      algorithm: Algorithm,
      parts: Pick<CopyStreamParts, 'read' | 'onEnded'>,
    ): OutgoingCopy
  }
  readonly random: Random
  readonly time: Time
  /** Undefined where files of uploads cannot be read. */
  readonly openTail: ((uploadId: string) => Promise<UploadTail>) | undefined
  /** A member has not taken what it was sent. */
  readonly onRefused: (member: number, digest: Digest | undefined, error: unknown) => void
}

/** What has come of an upload at the others. */
export interface Arrived {
  readonly choice: Choice
  readonly copies: readonly HeldCopy[]
  /** Members that have refused. */
  readonly without: ReadonlySet<number>
}

export class Arrivals {
  readonly #parts: ArrivalsParts
  readonly #arrivals = new Map<string, Arrival>()

  constructor(parts: ArrivalsParts) {
    this.#parts = parts
  }

  /** Undefined: no other member is to get it. */
  begin(uploadId: string, algorithm: Algorithm): Arriving | undefined {
    const { openTail, owners } = this.#parts
    if (openTail === undefined || owners.writeCopies < 2) return undefined
    const arrival = new Arrival(
      algorithm,
      () => openTail(uploadId),
      this.#parts,
      () => {
        if (this.#arrivals.get(uploadId) === arrival) this.#arrivals.delete(uploadId)
      },
    )
    this.#arrivals.set(uploadId, arrival)
    return arrival
  }

  /** The upload is whole. Undefined: nothing of it is at others. Each copy is the caller's to release. */
  async finish(uploadId: string, digest: Digest, sizeBytes: number): Promise<Arrived | undefined> {
    return this.#arrivals.get(uploadId)?.finish(digest, sizeBytes)
  }

  /** Others are to keep nothing of it. */
  drop(uploadId: string): void {
    this.#arrivals.get(uploadId)?.stop()
  }

  /** Uploads of which others have something. */
  get size(): number {
    return this.#arrivals.size
  }

  close(): void {
    for (const arrival of [...this.#arrivals.values()]) arrival.stop()
  }
}

class Arrival implements Arriving {
  readonly #algorithm: Algorithm
  readonly #open: () => Promise<UploadTail>
  readonly #parts: ArrivalsParts
  readonly #onOver: () => void
  readonly #streams = new Map<number, OutgoingCopy>()
  readonly #without = new Set<number>()
  #choice: Choice | undefined
  #tail: UploadTail | undefined
  #opening: Promise<void> | undefined
  #begun = 0
  #reachedBytes = 0
  #reachedAt: number
  #isOver = false
  #cancelLook: () => void = () => undefined

  constructor(
    algorithm: Algorithm,
    open: () => Promise<UploadTail>,
    parts: ArrivalsParts,
    onOver: () => void,
  ) {
    this.#algorithm = algorithm
    this.#open = open
    this.#parts = parts
    this.#onOver = onOver
    this.#reachedAt = parts.time.monotonic()
    this.#lookLater()
  }

  reached(writtenBytes: number): void {
    if (writtenBytes <= this.#reachedBytes || this.#isOver) return
    this.#reachedBytes = writtenBytes
    this.#reachedAt = this.#parts.time.monotonic()
    this.#opening ??= this.#start()
    for (const stream of this.#streams.values()) stream.reached(writtenBytes)
  }

  async finish(digest: Digest, sizeBytes: number): Promise<Arrived | undefined> {
    // A small one is whole before its file is open here: others get it in one question all the same.
    await this.#opening
    if (this.#isOver || this.#choice === undefined) {
      this.stop()
      return undefined
    }
    // What fails from now on is the caller's to replace.
    this.#isOver = true
    const choice = this.#choice
    const without = new Set(this.#without)
    const kept = await Promise.all(
      [...this.#streams].map(async ([member, stream]) => {
        try {
          return await stream.finish(digest, sizeBytes)
        } catch (error) {
          without.add(member)
          this.#parts.onRefused(member, digest, error)
          return undefined
        }
      }),
    )
    this.#end()
    return { choice, copies: kept.filter((copy) => copy !== undefined), without }
  }

  stop(): void {
    if (this.#isOver) return
    this.#isOver = true
    for (const stream of this.#streams.values()) stream.stop()
    this.#end()
  }

  #end(): void {
    this.#cancelLook()
    this.#tail?.close()
    this.#onOver()
  }

  /** The file is there as soon as it has bytes. */
  async #start(): Promise<void> {
    try {
      const tail = await this.#open()
      if (this.#isOver) return tail.close()
      this.#tail = tail
      this.#fill()
    } catch {
      this.stop()
    }
  }

  /** Streams to as many members as a push waits for; ends it when there are too few. */
  #fill(): void {
    const { owners, random } = this.#parts
    const fits = (choice: Choice) => this.#candidates(choice).length >= this.#wanted(choice)
    if (this.#choice === undefined || !fits(this.#choice)) {
      this.#choice = owners.choose(random, this.#without)
    }
    const choice = this.#choice
    if (choice === undefined || !fits(choice)) return this.stop()
    const members = this.#candidates(choice).slice(0, this.#wanted(choice))
    for (const [member, stream] of [...this.#streams]) {
      if (members.includes(member)) continue
      this.#streams.delete(member)
      stream.stop()
    }
    for (const member of members) {
      if (this.#streams.has(member)) continue
      if (this.#begun === streamsMax) return this.stop()
      this.#begun += 1
      this.#streams.set(member, this.#stream(member))
    }
  }

  /** Members that may get it, those first that do. */
  #candidates({ owners: all }: Choice): number[] {
    const { owners } = this.#parts
    const mayGet = (member: number) =>
      !this.#without.has(member) && owners.isPresent(member) && owners.hasRoom(member)
    return all
      .filter((member) => member !== owners.self && mayGet(member))
      .sort((one, other) => Number(this.#streams.has(other)) - Number(this.#streams.has(one)))
  }

  #wanted({ owners }: Choice): number {
    const { self, writeCopies } = this.#parts.owners
    return writeCopies - Number(owners.includes(self))
  }

  #stream(member: number): OutgoingCopy {
    const { ask, onRefused } = this.#parts
    const stream = ask.stream(member, this.#algorithm, {
      read: (into, offset) => this.#tail!.read(into, offset),
      onEnded: (error) => {
        if (this.#isOver || this.#streams.get(member) !== stream) return
        this.#streams.delete(member)
        this.#without.add(member)
        onRefused(member, undefined, error)
        this.#fill()
      },
    })
    stream.reached(this.#reachedBytes)
    return stream
  }

  #lookLater(): void {
    const { time } = this.#parts
    this.#cancelLook = time.after(lookMs, () => {
      // A client may come back after hours: until then no member is to hold a file for it.
      if (time.monotonic() - this.#reachedAt >= idleMs) return this.stop()
      for (const stream of this.#streams.values()) stream.flush()
      this.#lookLater()
    })
  }
}
