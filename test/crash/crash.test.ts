/**
 * @module Nothing acknowledged is lost: the real process under a random load, killed with SIGKILL
 * again and again, compared with a model of what its clients were told.
 *
 * `FASTREGISTRY_CRASH_CYCLES=300 FASTREGISTRY_CRASH_SEED=4711` runs longer, or a seed again: the
 * operations are the same, the moment between two system calls at which the kill lands is not.
 */
import { expect, test } from 'vitest'
import { startRegistry } from '../support/start-registry.ts'
import { runCycle } from './support/cycle.ts'
import { CrashModel } from './support/model.ts'

const { FASTREGISTRY_CRASH_CYCLES: wantedCycles, FASTREGISTRY_CRASH_SEED: wantedSeed } = process.env
const cycles = Number(wantedCycles ?? 20)
const seed = wantedSeed ?? String(Math.floor(Math.random() * 1e9))

/** A cycle takes about 4 s here; a slow machine may need several times as long. */
const secondsPerCycle = 30

test(
  `${cycles} times kill -9 under load, seed ${seed}`,
  async () => {
    console.log(`crash test: FASTREGISTRY_CRASH_SEED=${seed}, ${cycles} cycles`)
    const registry = await startRegistry({ config: { log: { access: false } } })
    const model = new CrashModel()
    const total: Record<string, number> = { operations: 0 }
    try {
      for (let cycle = 0; cycle < cycles; cycle += 1) {
        const isLast = cycle === cycles - 1
        if (cycle > 0 && cycle % 25 === 0) console.log(`crash test: ${cycle} cycles are done`)
        const result = await runCycle({ registry, model, seed: `${seed}/${cycle}`, isLast })
        total['operations']! += result.operations
        for (const [name, count] of Object.entries(result.reconciliation)) {
          if (typeof count === 'number') total[name] = (total[name] ?? 0) + count
        }
      }
    } finally {
      await registry.stop()
    }
    console.log(`MEASURED crash: ${cycles} cycles, ${JSON.stringify(total)}`)
    // A crash of the process alone loses no bytes that had reached the operating system.
    expect(total).toMatchObject({ missing: 0, trashed: 0, unreadable: 0 })
  },
  cycles * secondsPerCycle * 1000,
)
