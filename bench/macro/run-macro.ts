/**
 * @module The macro suite: runs the wanted rows one after the other and says each as it ends.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type BenchOptions, isWanted } from '../options.ts'
import { describeProfiles } from '../profile.ts'
import { formatRow } from '../report.ts'
import { Bench, type Row, type RowResult } from './bench.ts'
import { RowJournal, type RowOutcome } from './journal.ts'
import { accessRows } from './rows/access.ts'
import { collectionRows } from './rows/collection.ts'
import { coldBlobsRow, equalSharesRow } from './rows/large-reads.ts'
import { manyBlobsRow } from './rows/many-blobs.ts'
import { meshRows } from './rows/mesh.ts'
import { mirrorRows } from './rows/mirrors.ts'
import { mixedRows } from './rows/mixed.ts'
import { pressureRow } from './rows/pressure.ts'
import { nodePushRows, pushRows } from './rows/pushes.ts'
import { nodeReadRows, readRows } from './rows/reads.ts'
import { scaleRows } from './rows/scale.ts'
import { signingRows } from './rows/signing.ts'
import { syncRows } from './rows/syncs.ts'
import { trafficRows } from './rows/traffic.ts'
import type { ServerKind } from './server.ts'
import { projectRoot } from './servers/ours.ts'
import { Skipped } from './skipped.ts'

/** Every row, in the order of the report. */
export const ROWS: readonly Row[] = [
  ...readRows,
  equalSharesRow,
  ...mixedRows,
  ...pushRows,
  ...trafficRows,
  manyBlobsRow,
  coldBlobsRow,
  ...scaleRows,
  ...collectionRows,
  pressureRow,
  ...accessRows,
  ...signingRows,
  ...mirrorRows,
  ...syncRows,
  ...meshRows,
  ...nodeReadRows,
  ...nodePushRows,
]

export interface MacroOutcome {
  readonly rows: readonly RowResult[]
  /** Rows that could not be measured, with why. */
  readonly failures: readonly { readonly id: string; readonly reason: string }[]
  /** Rows that this machine cannot measure. */
  readonly skipped: readonly { readonly id: string; readonly reason: string }[]
}

/** The rows of a run with these options. */
export function wantedRows({ only, isCi }: Pick<BenchOptions, 'only' | 'isCi'>): readonly Row[] {
  return ROWS.filter(({ id, isLong }) => isWanted(id, only) && !(isCi && isLong === true))
}

export async function runMacro(
  options: BenchOptions,
  kinds: readonly ServerKind[],
  say: (line: string) => void,
  run: string,
): Promise<MacroOutcome> {
  const bench = new Bench(options, kinds, say)
  const journal = new RowJournal(options.journalFile, run)
  const rows: RowResult[] = []
  const failures: { id: string; reason: string }[] = []
  const skipped: { id: string; reason: string }[] = []
  try {
    for (const row of wantedRows(options)) {
      const kept = journal.get(row.id)
      const outcome = kept ?? (await measured(bench, row))
      if (kept === undefined) journal.add(outcome)
      if (outcome.kind === 'measured') {
        rows.push(outcome.row)
        say(`${formatRow(outcome.row)}\n`)
      } else {
        const { kind, id, reason } = outcome
        ;(kind === 'skipped' ? skipped : failures).push({ id, reason })
        say(`${id}: ${kind === 'skipped' ? 'SKIPPED' : 'FAILED'}: ${reason}\n`)
      }
    }
  } finally {
    await bench.close()
  }
  return { rows, failures, skipped }
}

async function measured(bench: Bench, row: Row): Promise<RowOutcome> {
  try {
    const result = await (bench.options.isProfile ? profiled(bench, row) : row.run(bench))
    return { kind: 'measured', row: result }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { kind: error instanceof Skipped ? 'skipped' : 'failed', id: row.id, reason }
  }
}

/** Runs a row with servers of its own, which write their profiles when they end. */
async function profiled(bench: Bench, row: Row): Promise<RowResult> {
  const folder = join(projectRoot(), 'bench/results/profiles', row.id)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  bench.profileFolder = folder
  const result = await row.run(bench)
  await bench.stopReading()
  bench.say(`profiles: bench/results/profiles/${row.id}\n${describeProfiles(folder)}\n`)
  return result
}
