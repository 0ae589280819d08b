/**
 * @module The JSON of a run: what `bench/results` keeps and the tables of README.md and docs/benchmarks.md are made from.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { MachineFacts, MachineRates } from './machine.ts'
import type { RowResult } from './macro/bench.ts'
import type { MicroResult } from './micro/run-micro.ts'
import type { Verdict } from './verdict.ts'

export interface Results {
  readonly run: {
    /** ISO date and time. */
    readonly at: string
    readonly scale: number
    readonly rounds: number
    readonly seconds: number
  }
  readonly machine: MachineFacts
  readonly limits: MachineRates
  /** Version of every server of the run; null: not installed. */
  readonly servers: Readonly<Record<string, string | null>>
  readonly client: string
  readonly verdicts: readonly Verdict[]
  readonly rows: readonly RowResult[]
  readonly failures: readonly { readonly id: string; readonly reason: string }[]
  readonly skipped: readonly { readonly id: string; readonly reason: string }[]
  readonly micro: readonly MicroResult[]
}

/** The numbers behind README's table, from the root of the repository. */
export const latestFile = 'bench/results/latest.json'

export function writeResults(file: string, results: Results): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(results, roundNumbers, 2)}\n`)
}

/** Runs of all kinds of machines that were kept: the last full run, and others beside it. */
export function readAllResults(folder: string): Results[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => readResults(join(folder, name)))
}

export function readResults(file: string): Results {
  return JSON.parse(readFileSync(file, 'utf8')) as Results
}

/** Five significant digits: more would be noise, and a diff of noise. */
function roundNumbers(_key: string, value: unknown): unknown {
  if (typeof value !== 'number' || Number.isInteger(value)) return value
  return Number.isFinite(value) ? Number(value.toPrecision(5)) : null
}
