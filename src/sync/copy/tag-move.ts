/**
 * @module The last step of a copy: the tag moves, the tags that follow it move, and the journal says so, in
 * one transaction. A tag is the sync's own as long as it is what the sync has written; any other hand on it
 * ends that.
 */
import type { Protection } from '../../distribution/protection.ts'
import type { TagLocks } from '../../distribution/tag-locks.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import type { SyncTagRow } from '../../metadata/rows/upstream.ts'
import type { TagRow } from '../../metadata/schema.ts'
import type { Change, Check, Transaction } from '../../metadata/transaction.ts'
import type { Digest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import { commitAttemptsMax } from '../../registry/limits.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Tag } from '../../registry/tag.ts'
import type { Clock } from '../../runtime/clock.ts'
import { checksOf } from '../../signing/gate.ts'
import type { Rest } from '../../signing/signatures.ts'
import { isWriterOf, type SyncJournal } from '../journal.ts'
import type { AttachedTag } from './attached.ts'
import type { OnChange } from './outcome.ts'

export interface TagMoveParts {
  readonly metadata: MetadataStore
  readonly journal: SyncJournal
  readonly protection: Protection
  readonly tagLocks: TagLocks
  readonly clock: Clock
  /** Name of the source. */
  readonly source: string
  /** Who writes, for the history. */
  readonly by: string
}

/** What decides whether a tag may move. */
export interface TagRules {
  readonly onChange: OnChange
  readonly overwrite: boolean
}

export type TagDecision =
  | { readonly kind: 'move' | 'same'; readonly isOwned: boolean }
  | { readonly kind: 'kept'; readonly message: string }
  | { readonly kind: 'conflict'; readonly message: string; readonly isImmutable: boolean }

/** Whose tag it is, and where it is to go. */
export interface WantedTag {
  /** Upstream's name of the repository. */
  readonly repository: string
  readonly local: RepositoryName
  readonly tag: Tag
  readonly digest: Digest
}

export interface Move {
  readonly main: WantedTag
  /** The row of the journal, by what was decided. */
  readonly row: (it: Decided) => SyncTagRow
  readonly rules: TagRules
  readonly attached: readonly AttachedTag[]
  /** Named after the content, and nothing of it: they stay where they are, and are known from now on. */
  readonly empty: readonly AttachedTag[]
  /** Manifests that have to be in the repository still. */
  readonly placed: readonly Digest[]
  /** What a policy has said; undefined: none is asked. */
  readonly judged?: Judged | undefined
}

export interface Judged {
  /** It was asked about the tag itself. */
  readonly isMoving: boolean
  /** What its word rests on. */
  readonly rests: readonly Rest[]
}

export interface Decided {
  readonly main: TagDecision
  /** What the sync has written here, by now. */
  readonly wrote: Digest | undefined
  /** Attached tags that moved, and those that somebody else has moved here. */
  readonly moved: number
  readonly conflicts: number
}

export type Moved =
  | ({ readonly kind: 'done' } & Decided)
  /** Something of the content went meanwhile. */
  | { readonly kind: 'incomplete' }

export class TagMoves {
  readonly #parts: TagMoveParts

  constructor(parts: TagMoveParts) {
    this.#parts = parts
  }

  /** What would become of the tag as things are now. */
  decide(it: WantedTag, rules: TagRules): TagDecision {
    const row = this.#parts.metadata.get('tags', [it.local, it.tag])
    return this.#decide(it, row, rules)
  }

  /** Whether a tag that is attached may move, or is there already, as things are now. */
  isFree(main: WantedTag, { tag, digest }: AttachedTag, { overwrite }: TagRules): boolean {
    const { kind } = this.decide({ ...main, tag, digest }, { onChange: 'follow', overwrite })
    return kind === 'move' || kind === 'same'
  }

  /** On disk and visible when it resolves. */
  move(it: Move): Promise<Moved> {
    // A delete of a manifest takes the tags that it saw: none may come to it meanwhile.
    const all = [it.main, ...it.attached]
    const keys = new Set<Tag | Digest>(all.flatMap(({ tag, digest }) => [tag, digest]))
    return this.#parts.tagLocks.run(it.main.local, [...keys], () => this.#move(it))
  }

  async #move(it: Move): Promise<Moved> {
    const { metadata, journal, source } = this.#parts
    const { repository, tag } = it.main
    for (const moved of [it.main, ...it.attached, ...it.empty]) {
      await journal.settle({ source, repository, tag: moved.tag })
    }
    for (let attempt = 0; attempt < commitAttemptsMax; attempt += 1) {
      const turn = new Turn(this.#parts, it, (wanted, row, rules) =>
        this.#decide(wanted, row, rules),
      )
      const decided = turn.decide()
      // What was judged is not what would move: it is judged again.
      if (turn.isOvertaken) return { kind: 'incomplete' }
      if (turn.changes.length === 0) {
        await journal.noteTag({ source, repository, tag }, it.row(decided))
        return { kind: 'done', ...decided }
      }
      turn.note(tag, it.row(decided))
      const outcome = await metadata.commit(turn)
      if (outcome.applied) {
        turn.written()
        return { kind: 'done', ...decided }
      }
      const { in: where } = outcome.failed
      if (where === 'manifests' || where === 'tagsByDigest') return { kind: 'incomplete' }
    }
    throw new RegistryError('CHANGING_TOO_FAST')
  }

  #decide(it: WantedTag, row: TagRow | undefined, rules: TagRules): TagDecision {
    const { journal, protection, source } = this.#parts
    const { repository, local, tag, digest } = it
    const known = journal.tag({ source, repository, tag })
    const wrote = known?.local === local ? known.wrote : undefined
    const isOwned = row !== undefined && row.digest === wrote && this.#isMine(row)
    if (row?.digest === digest) return { kind: 'same', isOwned }
    if (row === undefined) {
      const wasHere = wrote !== undefined || this.#wasDeleted(it)
      if (!wasHere || rules.overwrite) return { kind: 'move', isOwned: true }
      return conflict('it was deleted here')
    }
    if (protection.isImmutable(local, tag)) return conflict('it is immutable here', true)
    if (!isOwned) {
      if (rules.overwrite) return { kind: 'move', isOwned }
      return conflict(wrote === undefined ? 'it was pushed here' : 'it was moved here')
    }
    switch (rules.onChange) {
      case 'keep':
        return { kind: 'kept', message: `upstream has moved it to ${digest}` }
      case 'fail':
        return conflict(`upstream has moved it to ${digest}`)
      default:
        return { kind: 'move', isOwned }
    }
  }

  /**
   * Whether it was somebody else's here and was deleted as it is upstream: of two registries that copy from each
   * other, one deletes it, and the other still has it.
   */
  #wasDeleted({ local, tag, digest }: WantedTag): boolean {
    const deleted = this.#parts.metadata.get('deletedTags', [local, tag])?.row
    return deleted?.digest === digest && !this.#isMine(deleted)
  }

  #isMine({ by }: TagRow): boolean {
    return isWriterOf(this.#parts.metadata, this.#parts.source, by)
  }
}

type Decide = (it: WantedTag, row: TagRow | undefined, rules: TagRules) => TagDecision

/** One transaction of a move, from the rows as they are now. */
class Turn implements Transaction {
  readonly checks: Check[]
  readonly changes: Change[] = []
  readonly #parts: TagMoveParts
  readonly #it: Move
  readonly #decide: Decide
  readonly #now: number
  readonly #written: (() => void)[] = []
  #isOvertaken = false

  constructor(parts: TagMoveParts, it: Move, decide: Decide) {
    this.#parts = parts
    this.#it = it
    this.#decide = decide
    this.#now = parts.clock.now()
    const { local } = it.main
    this.checks = it.placed.map((digest) => ({
      check: 'present',
      in: 'manifests',
      key: [local, digest],
    }))
  }

  /** Whether the word of a policy does not fit what would be done. */
  get isOvertaken(): boolean {
    return this.#isOvertaken
  }

  decide(): Decided {
    const { main, rules, attached } = this.#it
    const before = this.#known(main.tag)
    const decided = this.#turn(main, rules)
    const wrote = decided.kind === 'move' ? main.digest : before?.wrote
    let moved = 0
    let conflicts = 0
    // A tag that does not move keeps what is attached to it here.
    const isFree = decided.kind === 'move' || decided.kind === 'same'
    const how: TagRules = { onChange: 'follow', overwrite: rules.overwrite }
    for (const { tag, digest } of isFree ? attached : []) {
      const known = this.#known(tag)
      const decision = this.#turn({ ...main, tag, digest }, how)
      if (decision.kind === 'move') moved += 1
      if (decision.kind === 'conflict') conflicts += 1
      if (decision.kind === 'same' || known?.upstream === digest) {
        if (decision.kind !== 'move') continue
      }
      const outcome = decision.kind === 'move' ? 'copied' : 'conflict'
      const its = decision.kind === 'move' ? digest : known?.wrote
      const row = { local: main.local, outcome, at: this.#now, attempts: 0, upstream: digest }
      this.note(tag, its === undefined ? row : { ...row, wrote: its })
    }
    if (isFree) this.#noteEmpty()
    this.#hold(decided, isFree ? attached : [])
    return { main: decided, wrote, moved, conflicts }
  }

  /** Holds the word of a policy against what is done: what it rests on is there, or comes with the tag. */
  #hold({ kind }: TagDecision, attached: readonly AttachedTag[]): void {
    const { judged, main, rules } = this.#it
    if (judged === undefined || kind !== 'move') return
    this.#isOvertaken = !judged.isMoving
    const how: TagRules = { onChange: 'follow', overwrite: rules.overwrite }
    for (const rest of judged.rests) {
      const coming = attached.find((it) => it.tag === rest.tag && it.digest === rest.manifest)
      const wanted = coming && { ...main, tag: coming.tag, digest: coming.digest }
      const row = wanted && this.#parts.metadata.get('tags', [main.local, wanted.tag])
      const decision = wanted && this.#decide(wanted, row, how).kind
      if (decision === 'move') {
        this.checks.push({ check: 'present', in: 'manifests', key: [main.local, rest.manifest] })
      } else this.checks.push(...checksOf(main.local, [rest]))
    }
  }

  #noteEmpty(): void {
    const { main, empty } = this.#it
    for (const { tag, digest } of empty) {
      const known = this.#known(tag)
      if (known?.upstream === digest) continue
      const row = { local: main.local, outcome: 'skipped', at: this.#now, attempts: 0 } as const
      const wrote = known?.wrote === undefined ? {} : { wrote: known.wrote }
      this.note(tag, { ...row, ...wrote, upstream: digest })
    }
  }

  note(tag: Tag, row: SyncTagRow): void {
    const { journal, source } = this.#parts
    const { repository } = this.#it.main
    const noted = journal.withMove({ source, repository, tag }, row)
    this.changes.push(noted.change)
    this.#written.push(() => noted.written())
  }

  written(): void {
    for (const tell of this.#written) tell()
  }

  #known(tag: Tag): SyncTagRow | undefined {
    const { journal, source } = this.#parts
    const { repository, local } = this.#it.main
    const known = journal.tag({ source, repository, tag })
    return known?.local === local ? known : undefined
  }

  #turn(wanted: WantedTag, rules: TagRules): TagDecision {
    const { metadata, protection, by } = this.#parts
    const key = [wanted.local, wanted.tag] as const
    const row = metadata.get('tags', key)
    const decision = this.#decide(wanted, row, rules)
    if (decision.kind !== 'move') return decision
    this.checks.push(
      row === undefined
        ? { check: 'absent', in: 'tags', key }
        : { check: 'unchanged', in: 'tags', key, row },
    )
    this.changes.push({
      change: 'move-tag',
      in: 'tags',
      key,
      digest: wanted.digest,
      at: this.#now,
      by,
      isImmutable: protection.isImmutable(...key),
    })
    return decision
  }
}

function conflict(message: string, isImmutable = false): TagDecision {
  return { kind: 'conflict', message, isImmutable }
}
