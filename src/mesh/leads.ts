/**
 * @module The leads of this node's run: asked for through the log, had from the entry on with which they are given,
 * and lost with the run. What is heard here is late by nature; what counts is the check that goes with every
 * transaction (`metadata/apply/leads.ts`). This only says it early, so that a job stops working for nothing.
 */
import type { Lead, LeadSource, MemberRun } from '../jobs/leads.ts'
import type { Control, SeenEntry } from '../metadata/entry.ts'
import { RegistryError } from '../registry/errors.ts'

/** Until a caller hears that the log does not answer, ms. */
const waitMsMax = 5_000

/** Runs `late` after so many ms; the result takes it back. */
export type After = (ms: number, late: () => void) => () => void

interface Wanted {
  readonly settle: (lead: Lead | undefined) => void
  readonly fail: (error: Error) => void
}

interface Held extends Lead {
  readonly over: AbortController
}

export class Leads implements LeadSource {
  readonly #member: number
  readonly #after: After
  #boot: number | undefined
  #submit: (controls: readonly Control[]) => void = () => undefined
  readonly #wanted = new Map<string, Wanted>()
  readonly #held = new Map<string, Held>()

  constructor(member: number, after: After = realAfter) {
    this.#member = member
    this.#after = after
  }

  get run(): MemberRun | undefined {
    return this.#boot === undefined ? undefined : { member: this.#member, boot: this.#boot }
  }

  /** Jobs that are led here, as far as that was heard. */
  get jobs(): readonly string[] {
    return [...this.#held.keys()]
  }

  /** A run of this node begins: what an earlier one had is lost. */
  begin(boot: number, submit: (controls: readonly Control[]) => void): void {
    this.#loseAll()
    this.#boot = boot
    this.#submit = submit
  }

  /** The run is over, or does not hear of the log any more. */
  end(): void {
    this.#boot = undefined
    this.#loseAll()
  }

  take(job: string): Promise<Lead | undefined> {
    if (this.#boot === undefined) return Promise.reject(new RegistryError('LOG_SILENT'))
    if (this.#wanted.has(job) || this.#held.has(job)) return Promise.resolve(undefined)
    return new Promise((resolve, reject) => {
      const ended = (settle: () => void) => () => {
        takeBack()
        this.#wanted.delete(job)
        settle()
      }
      const wanted: Wanted = {
        settle: (lead) => ended(() => resolve(lead))(),
        fail: (error) => ended(() => reject(error))(),
      }
      const takeBack = this.#after(waitMsMax, () => wanted.fail(new RegistryError('LOG_SILENT')))
      this.#wanted.set(job, wanted)
      this.#submit([{ control: 'lead', job }])
    })
  }

  give({ check }: Lead): void {
    const held = this.#held.get(check.job)
    if (held === undefined || held.check.index !== check.index) return
    this.#lose(held)
    this.#submit([{ control: 'yield', job: check.job }])
  }

  /** Entries were applied, and reads here show them. To be called for each, in order. */
  onSeen(entries: readonly SeenEntry[]): void {
    for (const entry of entries) this.#read(entry)
  }

  #read({ index, member, boot, fate, controls, done }: SeenEntry): void {
    const isOwn = member === this.#member && boot === this.#boot
    // What it asked for may have been in there, too: it can ask again.
    if (isOwn && fate === 'void') this.#loseAll()
    for (const [at, it] of controls.entries()) {
      const isDone = done[at] === true
      if (it.control === 'absent' && isDone) {
        if (it.member === this.#member && it.boot === this.#boot) this.#loseAll()
      } else if (it.control === 'lead' && isOwn) this.#onAnswer(it.job, index, isDone)
    }
  }

  #onAnswer(job: string, index: number, isTaken: boolean): void {
    const wanted = this.#wanted.get(job)
    if (!isTaken) return wanted?.settle(undefined)
    // Its caller has stopped waiting.
    if (wanted === undefined) return this.#submit([{ control: 'yield', job }])
    const over = new AbortController()
    const check = {
      check: 'lead',
      in: 'leads',
      job,
      member: this.#member,
      boot: this.#boot!,
      index,
    } as const
    const held: Held = { check, over, signal: over.signal }
    this.#held.set(job, held)
    wanted.settle(held)
  }

  #loseAll(): void {
    for (const held of this.#held.values()) this.#lose(held)
    for (const { fail } of this.#wanted.values()) fail(new RegistryError('LOG_SILENT'))
  }

  #lose({ check, over }: Held): void {
    this.#held.delete(check.job)
    over.abort()
  }
}

const realAfter: After = (ms, late) => {
  const timer = setTimeout(late, ms)
  return () => clearTimeout(timer)
}
