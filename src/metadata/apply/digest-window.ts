/**
 * @module Who holds and who uses a blob, for many blobs in the order of their digests: reads the
 * index some keys ahead while the next digests are near, instead of looking each one up (measured: a
 * look costs ten times a step). Lives inside one write transaction.
 */
import { lastText } from '../key-order.ts'
import type { RowAccess } from '../row-access.ts'

const keysMin = 8
const keysMax = 256

export class DigestWindow {
  readonly #rows: RowAccess
  readonly #database: 'holders' | 'parents'
  /** Repositories by digest, for every digest from `#first` to `#last`. */
  readonly #found = new Map<string, string[]>()
  #first = ''
  #last = ''
  #limit = keysMin
  #hits = 0

  constructor(rows: RowAccess, database: 'holders' | 'parents') {
    this.#rows = rows
    this.#database = database
  }

  has(digest: string): boolean {
    const found = this.#look(digest)
    return found === undefined ? this.#hasPrefix([digest]) : found.length > 0
  }

  hasIn(digest: string, repository: string): boolean {
    const found = this.#look(digest)
    return found === undefined ? this.#hasPrefix([digest, repository]) : found.includes(repository)
  }

  /** The caller has deleted this key. */
  remove(digest: string, repository: string): void {
    const found = this.#found.get(digest)
    if (found !== undefined) found.splice(found.indexOf(repository), 1)
  }

  /** The caller has changed the index otherwise. */
  forget(): void {
    this.#found.clear()
    this.#first = ''
    this.#last = ''
  }

  #hasPrefix(prefix: readonly string[]): boolean {
    return this.#rows.firstKeys(this.#database, prefix, 1).length > 0
  }

  /** Undefined: more than a window holds. */
  #look(digest: string): readonly string[] | undefined {
    if (digest >= this.#first && digest <= this.#last) this.#hits += 1
    else this.#read(digest)
    if (digest > this.#last) return undefined
    return this.#found.get(digest) ?? []
  }

  #read(digest: string): void {
    const wasOfUse = this.#hits * 4 >= this.#limit
    this.#limit = wasOfUse ? Math.min(keysMax, this.#limit * 2) : keysMin
    this.#hits = 0
    this.#found.clear()
    const keys = this.#rows.keysFrom(this.#database, [digest], this.#limit)
    for (const [of, repository] of keys) {
      const found = this.#found.get(of!)
      if (found === undefined) this.#found.set(of!, [repository!])
      else found.push(repository!)
    }
    this.#first = digest
    if (keys.length < this.#limit) {
      this.#last = lastText
      return
    }
    // Of the last digest there may be more: what is known for sure ends before it.
    const last = keys.at(-1)![0]!
    this.#found.delete(last)
    this.#last = last === digest ? '' : before(last)
  }
}

/** The greatest digest below this one, or a text in between. */
function before(digest: string): string {
  return `${digest.slice(0, -1)}${String.fromCharCode(digest.charCodeAt(digest.length - 1) - 1)}~`
}
