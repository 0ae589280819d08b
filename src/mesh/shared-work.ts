/**
 * @module What a node of a mesh shares with the others beside its rows: who leads which job, and what time it is. Hangs
 * between the log and the gate of the reads, and hears what that hears.
 */
import { Ticks } from '../jobs/ticks.ts'
import type { Control } from '../metadata/entry.ts'
import type { ReadGate } from '../metadata/port.ts'
import type { Clock } from '../runtime/clock.ts'
import type { MeshOfStore } from '../storage/commits.ts'
import { MemberClocks } from './clocks.ts'
import { Leads } from './leads.ts'

export class SharedWork {
  readonly leads: Leads
  readonly clocks: MemberClocks
  readonly ticks: Ticks
  /** How the runs of the node start: as they would, with this among what they tell. Their beats say the time, too. */
  readonly mesh: MeshOfStore
  readonly #clock: Clock

  /** `mesh`: how they start without. */
  constructor(mesh: MeshOfStore, clock: Clock) {
    this.#clock = clock
    this.leads = new Leads(mesh.member)
    this.clocks = new MemberClocks(() => clock.monotonic())
    this.ticks = new Ticks(clock, () => this.leads.run)
    this.mesh = {
      ...mesh,
      startGate: (run) => {
        const submit = (controls: readonly Control[]): void => {
          run.submit(controls.map((it) => this.#withTime(it)))
        }
        this.leads.begin(run.boot, submit)
        return this.#beside(mesh.startGate({ ...run, submit }))
      },
    }
  }

  #withTime(it: Control): Control {
    return it.control === 'beat' ? { ...it, clock: this.#clock.now() } : it
  }

  #beside(gate: ReadGate): ReadGate {
    return {
      fresh: () => gate.fresh(),
      settled: (path) => gate.settled(path),
      whenStable: (index) => gate.whenStable(index),
      onSeen: (entries) => {
        gate.onSeen(entries)
        this.clocks.onSeen(entries)
        this.leads.onSeen(entries)
      },
      onShown: (index) => gate.onShown(index),
      leave: () => gate.leave(),
      close: () => {
        this.leads.end()
        gate.close()
      },
    }
  }
}
