/**
 * @module The writer's side of a collection: looks at each candidate of a batch and removes it, unless
 * somebody used it since it was found.
 *
 * Why this is safe beside pushes (invariant 4, invariant 5): a manifest PUT checks that the blobs it names are linked in its
 * repository and raises their `linkedAt`; a mount checks the source's link and raises it too; a HEAD
 * raises it before its 200. All of these, and this look with its removal, run one after the other in
 * the one writer, inside one transaction each. So either the client came first, and the row is not
 * what was planned; or the collection did, and the client hears that it must push.
 */

import { assertNever } from '../../registry/assert-never.ts'
import type { DerivedRows } from '../derived-rows.ts'
import { dropTag, holdsNow, removeManifest } from '../edits.ts'
import type { BlobRow, DatabaseName, Databases, EventRow, ManifestRow } from '../schema.ts'
import type {
  Candidate,
  ManifestCandidate,
  Stay,
  SweepBatch,
  TagCandidate,
  Verdict,
} from '../sweep.ts'
import type { SingleChange } from '../transaction.ts'
import { applyChange, suspect } from './change.ts'
import { DigestWindow } from './digest-window.ts'

/** Why a candidate stays; undefined: it is gone. */
type Judged = Stay | undefined

/** Judges each candidate and removes what nobody used; what it says is in the order of the candidates. */
export function applySweep(rows: DerivedRows, batch: SweepBatch): Verdict[] {
  const verdicts: Verdict[] = []
  const sweep = new Sweep(rows, batch)
  for (const [index, candidate] of batch.candidates.entries()) {
    const judged = candidate.kind === 'blob' ? sweep.removeBlob(candidate) : sweep.remove(candidate)
    if (judged === 'bytes-left') verdicts.push({ is: 'bytes-left', index })
    else if (judged !== undefined) verdicts.push({ is: 'stays', index, why: judged })
  }
  return verdicts
}

/** What the history says of a removal. */
function eventOf(
  candidate: TagCandidate | ManifestCandidate,
  { at, by }: Pick<SweepBatch, 'at' | 'by'>,
): EventRow {
  const { kind, repository, digest, why } = candidate
  return kind === 'tag'
    ? { at, action: 'delete-tag', repository, by, tag: candidate.tag, digest, why }
    : { at, action: 'delete-manifest', repository, by, digest, why }
}

class Sweep {
  readonly #rows: DerivedRows
  readonly #batch: SweepBatch
  readonly #holders: DigestWindow
  readonly #parents: DigestWindow
  /** The row read last: a blob comes right after its links. */
  #lastBlob: { readonly digest: string; readonly row: BlobRow | undefined } | undefined

  constructor(rows: DerivedRows, batch: SweepBatch) {
    this.#rows = rows
    this.#batch = batch
    this.#holders = new DigestWindow(rows, 'holders')
    this.#parents = new DigestWindow(rows, 'parents')
  }

  remove(it: Exclude<Candidate, { kind: 'blob' }>): Judged {
    switch (it.kind) {
      case 'tag':
        return this.#tag(it)
      case 'manifest':
        return this.#manifest(it)
      case 'link':
        return this.#link(it)
      case 'suspect':
        suspect(this.#rows, it.digest)
        return undefined
      case 'in-use':
        if (this.#get('candidates', it.digest) !== it.stamp) return 'changed'
        this.#rows.delete('candidates', it.digest)
        return undefined
      case 'purged-tag':
        return this.#purge('deletedTags', [it.repository, it.tag], (row) => row.at === it.at)
      case 'purged-manifest':
        return this.#purgeManifest(it)
      case 'purged-blob':
        return this.#purgeBlob(it)
      case 'expired-pin':
        return this.#purge('pins', [it.digest, it.name], (row) => row.expiresAt === it.at)
      default:
        return assertNever(it)
    }
  }

  #tag(it: TagCandidate): Judged {
    const { repository, tag, digest, at, pulledAt, why } = it
    const row = this.#get('tags', [repository, tag])
    if (row === undefined) return 'gone'
    if (row.digest !== digest) return 'moved'
    if (row.pushedAt !== at) return 'pushed-again'
    if (this.#pulledAt(repository, tag) > pulledAt) return 'pulled'
    if (this.#pulledAt(repository, digest) > pulledAt) return 'pulled'
    if (this.#isPinned(it)) return 'pinned'
    if (this.#hasSubject(it)) return 'subject-is-here'
    const { at: now, by } = this.#batch
    this.#apply(dropTag(repository, tag, row, { at: now, by, why }).changes)
    if (this.#batch.isFinal) this.#rows.delete('deletedTags', [repository, tag])
    this.#rows.appendEvent(eventOf(it, this.#batch))
    return undefined
  }

  #manifest(it: ManifestCandidate): Judged {
    const { repository, digest, at, why } = it
    const row = this.#get('manifests', [repository, digest])
    if (row === undefined) return 'gone'
    if (Math.max(row.pushedAt, row.reliedAt ?? 0) !== at) {
      return 'relied-on'
    }
    const pulledAt = this.#pulledAt(repository, digest)
    if (pulledAt > it.pulledAt && pulledAt > this.#batch.pulledAfter) {
      return 'pulled'
    }
    if (this.#isPinned(it)) return 'pinned'
    // Its subject, its tags and the indexes that listed it went before it, as candidates themselves.
    if (this.#hasSubject(it)) return 'subject-is-here'
    if (this.#has('tagsByDigest', [repository, digest])) return 'tagged'
    if (this.#has('parents', [digest, repository])) return 'listed'
    this.#removeManifest(it, row, why)
    this.#rows.appendEvent(eventOf(it, this.#batch))
    return undefined
  }

  #removeManifest(it: ManifestCandidate, row: ManifestRow, why: string): void {
    const { repository, digest } = it
    const { at, by } = this.#batch
    const keys = this.#rows.firstKeys('children', [digest]) as Databases['children']['key'][]
    const children = keys.map(([, child]) => child)
    const referrer =
      row.subject === undefined
        ? undefined
        : this.#get('referrers', [repository, row.subject, digest])
    // Its blobs are suspects since the plan was made: `in-use` verdicts of that walk are settled, so
    // the stamps need not change once more (measured: half of what such a removal writes).
    const absent = children.filter((child) => !this.#isHere(repository, child))
    const manifest = { repository, digest, row, tags: [], children: [], referrer, absent }
    this.#apply(removeManifest(manifest, { at, by, why }).changes)
    for (const child of children) {
      this.#rows.delete('parents', [child, repository, digest])
      suspect(this.#rows, child)
    }
    this.#parents.forget()
    if (!this.#batch.isFinal) return
    this.#rows.delete('deletedManifests', [repository, digest])
    this.#rows.delete('manifestHolders', [digest, repository])
    this.#manifestBytes(digest)
  }

  #isHere(repository: string, child: string): boolean {
    const key = [repository, child] as unknown as Databases['links']['key']
    return (
      this.#get('links', key) !== undefined || this.#has('manifestHolders', [child, repository])
    )
  }

  #link({ repository, digest, at }: Extract<Candidate, { kind: 'link' }>): Judged {
    const link = this.#get('links', [repository, digest])
    const row = this.#blobRow(digest)
    if (link === undefined || row === undefined) return 'gone'
    if (Math.max(link.linkedAt, row.linkedAt) !== at) return 'used-again'
    if (this.#parents.hasIn(digest, repository)) return 'in-a-manifest'
    this.#rows.delete('links', [repository, digest])
    this.#rows.delete('holders', [digest, repository])
    this.#holders.remove(digest, repository)
    return undefined
  }

  /** `bytes-left`: it is gone, and its bytes are with the blob driver. */
  removeBlob({ digest, at }: Extract<Candidate, { kind: 'blob' }>): Judged | 'bytes-left' {
    const row = this.#blobRow(digest)
    if (row === undefined) return 'gone'
    if (row.linkedAt !== at) return 'used-again'
    if (this.#holders.has(digest)) return 'in-a-repository'
    if (this.#parents.has(digest)) return 'in-a-manifest'
    const { sizeBytes, createdAt, place, group } = row
    this.#rows.delete('blobs', digest)
    this.#lastBlob = undefined
    this.#rows.delete('candidates', digest)
    if (this.#batch.isFinal && place === 'inline') {
      this.#rows.delete('blobBytes', digest)
      return undefined
    }
    const trashed = { sizeBytes, place, createdAt, trashedAt: this.#batch.at }
    this.#rows.put('trash', digest, group === undefined ? trashed : { ...trashed, group })
    return place === 'file' ? 'bytes-left' : undefined
  }

  /** Removes bytes and edges, once no repository has them or may want them back. */
  #manifestBytes(digest: string): void {
    if (this.#has('manifestHolders', [digest])) return
    this.#rows.delete('manifestBytes', digest)
    for (const key of this.#rows.firstKeys('children', [digest])) this.#rows.delete('children', key)
  }

  #purgeManifest(it: Extract<Candidate, { kind: 'purged-manifest' }>): Judged {
    const key = [it.repository, it.digest] as const
    // Pushed again: then the push has removed the row.
    if (this.#get('manifests', key) !== undefined) return 'back'
    const why = this.#purge('deletedManifests', key, (row) => row.at === it.at)
    if (why !== undefined) return why
    this.#rows.delete('manifestHolders', [it.digest, it.repository])
    // With the last that had it the bytes go.
    this.#manifestBytes(it.digest)
    return undefined
  }

  /** Bytes that a push of the same blob has taken over stay; the note in the trash goes either way. */
  #purgeBlob({ digest, at, hasObject }: Extract<Candidate, { kind: 'purged-blob' }>): Judged {
    const why = this.#purge('trash', digest, (row) => row.trashedAt === at)
    if (why !== undefined) return why
    if (!hasObject && this.#get('blobs', digest) === undefined) {
      this.#rows.delete('blobBytes', digest)
    }
    return undefined
  }

  #purge<N extends DatabaseName>(
    database: N,
    key: Databases[N]['key'],
    isIt: (row: Databases[N]['row']) => boolean,
  ): Judged {
    const row = this.#get(database, key)
    if (row === undefined || !isIt(row)) return 'changed'
    this.#rows.delete(database, key)
    return undefined
  }

  #isPinned({ repository, digest }: TagCandidate | ManifestCandidate): boolean {
    const keys = this.#rows.firstKeys('pins', [digest]) as Databases['pins']['key'][]
    return keys.some((key) => holdsNow(this.#get('pins', key)!, repository, this.#batch.at))
  }

  #hasSubject({ repository, subject }: TagCandidate | ManifestCandidate): boolean {
    return subject !== undefined && this.#get('manifests', [repository, subject]) !== undefined
  }

  #pulledAt(repository: Databases['pulls']['key'][0], name: string): number {
    return this.#get('pulls', [repository, name]) ?? 0
  }

  #blobRow(digest: Databases['blobs']['key']): BlobRow | undefined {
    if (this.#lastBlob?.digest !== digest) {
      this.#lastBlob = { digest, row: this.#get('blobs', digest) }
    }
    return this.#lastBlob.row
  }

  #apply(changes: readonly SingleChange[]): void {
    for (const change of changes) applyChange(this.#rows, change)
  }

  #has(database: DatabaseName, prefix: readonly string[]): boolean {
    return this.#rows.firstKeys(database, prefix, 1).length > 0
  }

  #get<N extends DatabaseName>(
    database: N,
    key: Databases[N]['key'],
  ): Databases[N]['row'] | undefined {
    return this.#rows.get(database, key) as Databases[N]['row'] | undefined
  }
}
