/**
 * @module `npm run bench`: measures the machine, runs the suites, prints the table of targets, keeps
 * the numbers as JSON. How to run it: README.md in this folder; how to read it: docs/benchmarks.md.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type MachineFacts, type MachineRates, machineFacts } from './machine.ts'
import { measureMachine } from './macro/machine-rates.ts'
import { type MacroOutcome, ROWS, runMacro, wantedRows } from './macro/run-macro.ts'
import type { ServerKind } from './macro/server.ts'
import { findKinds } from './macro/servers/kinds.ts'
import { projectRoot } from './macro/servers/ours.ts'
import { wrkVersion } from './macro/wrk.ts'
import { runMicro } from './micro/run-micro.ts'
import { type BenchOptions, parseOptions, USAGE } from './options.ts'
import { formatBefore, formatNumber, formatVerdicts } from './report.ts'
import { latestFile, type Results, writeResults } from './results-file.ts'
import type { Target } from './targets.ts'
import { judge, type Unjudged, unjudged, type Verdict } from './verdict.ts'

/** Why a server does not take part, where it does not say it itself. */
const notInstalled = 'not installed'

const say = (line: string) => console.log(line)

// Servers are ended and folders removed when the process exits, however it comes to that.
process.setMaxListeners(0)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) return saying(USAGE, 0)
  if (args.includes('--list')) {
    return saying(ROWS.map(({ id, title }) => `${id.padEnd(24)}${title}`).join('\n'), 0)
  }
  const options = parseOptions(args)
  if (typeof options === 'string') return saying(`${options}\n\n${USAGE}`, 2)
  const kinds = findKinds(options)
  const facts = machineFacts()
  sayFacts(facts, kinds)
  const rates = await measure(options)
  sayRates(rates)
  const micro =
    options.runsMicro && options.only.length === 0
      ? await runMicro(options.dataFolder, options.isCi ? 100 : 500, say)
      : []
  const outcome = options.runsMacro
    ? await runMacro(options, kinds, say, runLine(options, facts, kinds))
    : { rows: [], failures: [], skipped: [] }
  const verdicts = judge(outcome.rows)
  const left = leftOut(options, kinds, outcome, verdicts)
  if (verdicts.length + left.length > 0) {
    say(machineLine(facts, kinds))
    say(`${formatVerdicts(verdicts, left)}\n`)
  }
  if (options.before !== undefined) say(`${formatBefore(outcome.rows)}\n`)
  const servers = Object.fromEntries(kinds.map(({ name, version }) => [name, version ?? null]))
  keep(options, { machine: facts, limits: rates, servers, verdicts, ...outcome, micro })
  return summary(options, outcome, verdicts, left.length)
}

/** Targets of this run without numbers: their row or their peer cannot run here. */
function leftOut(
  options: BenchOptions,
  kinds: readonly ServerKind[],
  { failures, skipped }: MacroOutcome,
  verdicts: readonly Verdict[],
): Unjudged[] {
  if (!options.runsMacro) return []
  const run = new Set(wantedRows(options).map(({ id }) => id))
  const wasAsked = ({ row, against }: Target) =>
    run.has(row) && (against === undefined || kinds.some(({ name }) => name === against))
  const absent = kinds.filter(({ version }) => version === undefined)
  return unjudged(
    verdicts,
    wasAsked,
    new Map([...failures, ...skipped].map(({ id, reason }) => [id, reason])),
    new Map(absent.map(({ name, missing = notInstalled }) => [name, missing])),
  )
}

/** What a table of this run is a table of: the processor and the binary first of all. */
function machineLine({ cores, cpu, node }: MachineFacts, kinds: readonly ServerKind[]): string {
  const ours = kinds.find(({ name }) => name === 'ours')?.version ?? ''
  return `${cores} cores (${cpu}), Node ${node}, ${ours}`
}

/** What the rows of one run have in common, in one line: a journal holds rows of one run only. */
function runLine(
  { scale, rounds, seconds, engine }: BenchOptions,
  { commit, cpu, node }: MachineFacts,
  kinds: readonly ServerKind[],
): string {
  const servers = kinds.map(({ name, version }) => [name, version ?? null])
  return JSON.stringify({ commit, cpu, node, scale, rounds, seconds, engine, servers })
}

function saying(text: string, code: number): number {
  say(text)
  return code
}

async function measure({ dataFolder, isCi, isQuick }: BenchOptions): Promise<MachineRates> {
  const folder = mkdtempSync(join(dataFolder, 'fastregistry-bench-'))
  try {
    return await measureMachine(folder, isCi || isQuick)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function sayFacts(facts: MachineFacts, kinds: readonly ServerKind[]): void {
  const { cpu, cores, memoryGiB, kernel, node, commit } = facts
  say(`machine: ${cores} cores (${cpu}), ${memoryGiB} GiB, Linux ${kernel}, Node ${node}`)
  say(`commit:  ${commit || 'unknown'}`)
  for (const { name, version, missing = notInstalled } of kinds)
    say(`${`${name}:`.padEnd(17)}${version ?? `SKIPPED: ${missing}`}`)
  say(`client:  ${wrkVersion() || 'own worker-thread client (wrk is not installed)'}`)
}

function sayRates(rates: MachineRates): void {
  const mb = (value: number | undefined) => `${formatNumber(value)} MB/s`
  say(
    `limits:  memcpy ${mb(rates.memcpyMbPerSecond)}, SHA-256 ${mb(rates.sha256MbPerSecond)}, ` +
      `durable disk write ${mb(rates.diskMbPerSecond)}, loopback ${mb(rates.loopbackMbPerSecond)}`,
  )
  if (rates.bareRequestsPerSecond !== undefined) {
    const requests = formatNumber(rates.bareRequestsPerSecond)
    say(`         bare uWS: 1 KiB ${requests} req/s, 1 MiB ${mb(rates.bareMbPerSecond)}`)
  }
  const percent = Math.round(rates.foreignLoad * 100)
  say(`others:  ${percent}% of the cores were busy before the run`)
  if (percent > 10)
    say('         WARNING: the machine is not at rest; absolute figures and ratios suffer')
  say('')
}

/** Only a full run replaces the numbers that README.md and docs/benchmarks.md show. */
function keep(options: BenchOptions, results: Omit<Results, 'run' | 'client'>): void {
  const { scale, rounds, seconds, isCi, isQuick, isProfile, only, runsMacro, engine } = options
  const isWhole = runsMacro && only.length === 0 && scale === 1 && engine === 'auto'
  const isFull = isWhole && !(isCi || isQuick || isProfile)
  const byDefault = isFull ? latestFile : '.cache/bench/last-run.json'
  const run = { at: new Date().toISOString(), scale, rounds, seconds }
  const file = options.jsonFile ?? join(projectRoot(), byDefault)
  writeResults(file, { run, client: wrkVersion(), ...results })
  say(`numbers: ${options.jsonFile ?? byDefault}`)
}

function summary(
  options: BenchOptions,
  { failures }: MacroOutcome,
  verdicts: readonly Verdict[],
  skipped: number,
): number {
  const isBad = ({ isMet, isGross }: Verdict) => (options.isCi ? isGross : !isMet)
  const judged = verdicts.filter(({ target }) => !(options.isCi && target.isUngated === true))
  const failed = judged.filter(isBad).length + failures.length
  const passed = judged.length + failures.length - failed
  const what = options.isCi ? ' (failed: worse than half of the target)' : ''
  say(`${passed} passed, ${failed} failed${what}, ${skipped} skipped`)
  return failed > 0 && options.isCi ? 1 : failures.length > 0 ? 1 : 0
}
