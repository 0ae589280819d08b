/**
 * @module What this run says in the log beside transactions, for callers that have to hear what came of it.
 */
import type { Control, SeenEntry } from '../../metadata/entry.ts'
import type { RunOfLog } from '../../metadata/lmdb/log-commits.ts'
import type { Time } from '../../metadata/log/etcd/time.ts'
import { MeshError } from '../identity/problem.ts'

/** Until a caller hears that nothing is known, ms. */
const waitMs = 10_000

export class Statements {
  readonly #time: Time
  readonly #member: number
  #run: Pick<RunOfLog, 'boot' | 'submit'> | undefined
  readonly #waiting = new Map<string, ((done: boolean) => void)[]>()

  constructor(member: number, time: Time) {
    this.#member = member
    this.#time = time
  }

  /** A run has begun: what the one before has said is not known of. */
  setRun(run: Pick<RunOfLog, 'boot' | 'submit'>): void {
    this.#run = run
  }

  /**
   * Resolves with whether it was done, when it is applied here. Rejects with a MeshError 'silent' when that is not
   * known in time: it may be done later.
   */
  say(control: Control): Promise<boolean> {
    const run = this.#run
    if (run === undefined) return Promise.reject(new MeshError('busy', 'the node is starting'))
    const key = JSON.stringify(control)
    return new Promise((resolve, reject) => {
      const heard = (done: boolean) => {
        cancel()
        resolve(done)
      }
      const cancel = this.#time.after(waitMs, () => {
        this.#forget(key, heard)
        reject(new MeshError('silent', 'the log of the mesh does not answer'))
      })
      this.#waiting.set(key, [...(this.#waiting.get(key) ?? []), heard])
      run.submit([control])
    })
  }

  /** Entries were applied. */
  onSeen(entries: readonly SeenEntry[]): void {
    if (this.#waiting.size === 0) return
    for (const { member, boot, fate, controls, done } of entries) {
      if (member !== this.#member || boot !== this.#run?.boot || fate !== 'applied') continue
      for (const [at, control] of controls.entries()) {
        const key = JSON.stringify(control)
        const [first, ...rest] = this.#waiting.get(key) ?? []
        if (first === undefined) continue
        if (rest.length === 0) this.#waiting.delete(key)
        else this.#waiting.set(key, rest)
        first(done[at] === true)
      }
    }
  }

  #forget(key: string, heard: (done: boolean) => void): void {
    const rest = (this.#waiting.get(key) ?? []).filter((it) => it !== heard)
    if (rest.length === 0) this.#waiting.delete(key)
    else this.#waiting.set(key, rest)
  }
}
