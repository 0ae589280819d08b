/**
 * @module The table of `docs/benchmarks.md` between `<!-- begin:bench -->` and `<!-- end:bench -->`, and
 * the ten rows of it that README shows, made from the numbers of the last full run; and the range over
 * the kinds of machines that `bench/results` has runs of. A unit test compares them; with UPDATE_DOCS=1
 * it writes the blocks.
 */
import { formatNumber, formatRatio } from './report.ts'
import type { Results } from './results-file.ts'
import type { Target } from './targets.ts'
import type { Verdict } from './verdict.ts'

export function benchMarkdown(results: Results): string {
  const { machine, limits, servers, client, run, verdicts } = results
  const { cores, cpu, memoryGiB, kernel, node, commit } = machine
  const peers = Object.entries(servers)
    .filter(([name, version]) => name !== 'ours' && version !== null)
    .map(([name, version]) => `${name} (${shortVersion(version!)})`)
  const rate = (value: number) => `${formatNumber(value / 1000)} GB/s`
  return [
    `One run of \`npm run bench\` on ${run.at.slice(0, 10)}: ${cores} cores (${cpu}), ${memoryGiB} GiB, ` +
      `Linux ${kernel}, Node ${node}, commit ${commit || 'unknown'}; client ${client || 'own'}; ` +
      `${servers['ours']}; peers ${peers.join(', ')}. The same client, content and machine for all, in turn. ` +
      `The machine itself: memcpy ${rate(limits.memcpyMbPerSecond)}, SHA-256 ${rate(limits.sha256MbPerSecond)}, ` +
      `durable disk write ${rate(limits.diskMbPerSecond)}, loopback ${rate(limits.loopbackMbPerSecond)}; ` +
      `${Math.round(limits.foreignLoad * 100)}% of it busy with other work when the run began.`,
    '',
    ...table(verdicts),
    ...skippedLines(results),
  ].join('\n')
}

function skippedLines({ skipped }: Results): readonly string[] {
  if (skipped.length === 0) return []
  return ['', ...skipped.map(({ id, reason }) => `- \`${id}\`: SKIPPED: ${reason}`)]
}

/** What README shows: a row of the suite, its metric, and the peer that it is compared with. */
const HIGHLIGHTS: readonly (readonly [row: string, metric: string, against?: string])[] = [
  ['get-manifest-16', 'rate', 'distribution'],
  ['head-manifest', 'rate', 'docker-registry'],
  ['get-blob-64k', 'rate', 'nginx'],
  ['get-blob-1m', 'rate', 'distribution'],
  ['get-blob-100m', 'rate', 'distribution'],
  ['push-1g', 'rate', 'distribution'],
  ['push-images', 'rate', 'docker-registry'],
  ['mirror-cold', 'rate', 'distribution'],
  ['cold-blobs', 'rate', 'docker-registry'],
  ['pressure', 'loopMsP99'],
]

/** Ten rows: the usual work, and two that are missed. Rows that the run does not have are left out. */
export function benchHighlights(results: Results): string {
  const rows = HIGHLIGHTS.flatMap((shown) => find(results, shown) ?? [])
  const { machine, run } = results
  const { cores, cpu, node } = machine
  return [
    `${run.at.slice(0, 10)}, ${cores} cores (${cpu}) for client and server, Node ${node}, ${engineOf(results)}.`,
    '',
    ...table(rows),
  ].join('\n')
}

type Shown = (typeof HIGHLIGHTS)[number]

function find({ verdicts }: Results, [row, metric, against]: Shown): Verdict | undefined {
  return verdicts.find(
    ({ target }) => target.row === row && target.metric === metric && target.against === against,
  )
}

/** What serves ours in a run: `uWebSockets.js 20.69.0`. */
function engineOf({ servers }: Results): string {
  return / on (.+)$/.exec(servers['ours'] ?? '')?.[1] ?? 'an unknown engine'
}

/** What moves most from one kind of machine to the next, with what README shows. */
const RANGE: readonly Shown[] = [
  ...HIGHLIGHTS,
  ['get-blob-1m', 'rate', 'nginx'],
  ['get-blob-64k', 'rate', 'bare'],
  ['get-blob-1m', 'rate', 'bare'],
  ['get-blob-100m', 'rate', 'bare'],
  ['push-1g', 'cpuSecondsPerGib', 'distribution'],
  ['traffic-10mb', 'rate', 'distribution'],
]

/**
 * Lowest and highest of what counts, over runs on different kinds of machines: another processor or
 * another binary of the engine. Of several runs on one kind the newest counts.
 */
export function benchRange(runs: readonly Results[]): string {
  const byAge = [...runs].sort((a, b) => a.run.at.localeCompare(b.run.at))
  const kinds = new Map(byAge.map((run) => [kindOf(run), run]))
  const list = [...kinds].map(([kind, { run }]) => `- ${kind} (${run.at.slice(0, 10)})`)
  if (kinds.size < 2) {
    return ['One kind of machine so far, so there is no range:', '', ...list].join('\n')
  }
  const lines = RANGE.flatMap((shown) => {
    const verdicts = [...kinds.values()].flatMap((run) => find(run, shown) ?? [])
    return verdicts.length < 2 ? [] : [rangeLine(verdicts)]
  })
  return [
    ...list,
    '',
    '| Work | Against | Lowest | Highest | Target |',
    '| --- | --- | ---: | ---: | --- |',
    ...lines,
  ].join('\n')
}

function kindOf(results: Results): string {
  const { cores, cpu, node } = results.machine
  return `${cores} cores (${cpu}), Node ${node.replace(/\..*/, '')}, ${engineOf(results)}`
}

function rangeLine(verdicts: readonly Verdict[]): string {
  const [first] = verdicts
  const { target, title, unit, theirs } = first!
  const values = verdicts.map(({ value }) => value)
  const show = (value: number) =>
    theirs === undefined ? `${formatNumber(value)} ${unit}`.trim() : formatRatio(value)
  const missed = verdicts.filter(({ isMet }) => !isMet).length
  const cells = [
    title,
    target.against ?? '',
    show(Math.min(...values)),
    show(Math.max(...values)),
    `${boundOf(target)}${missed === 0 ? '' : `, **missed** on ${missed} of ${verdicts.length}`}`,
  ]
  return `| ${cells.join(' | ')} |`
}

function boundOf({ relation, bound, unit }: Target): string {
  return `${relation === '>=' ? '≥' : '≤'} ${bound}${unit ? ` ${unit}` : ''}`
}

function table(verdicts: readonly Verdict[]): readonly string[] {
  return [
    '| Work | Against | Ours | Theirs | Ratio | Target |',
    '| --- | --- | ---: | ---: | ---: | --- |',
    ...verdicts.map(line),
  ]
}

function line({ target, title, unit, ours, theirs, value, isMet }: Verdict): string {
  const { against } = target
  const cells = [
    title,
    against ?? '',
    `${formatNumber(ours)} ${theirs === undefined ? unit : shortUnit(unit)}`.trim(),
    theirs === undefined ? '' : formatNumber(theirs),
    theirs === undefined ? '' : formatRatio(value),
    `${boundOf(target)}${isMet ? '' : ', **missed**'}`,
  ]
  return `| ${cells.join(' | ')} |`
}

function shortUnit(unit: string): string {
  return unit === 'requests/s' ? 'req/s' : unit
}

/** The number in what a program says of its version. */
function shortVersion(text: string): string {
  return /v?\d+\.\d+\.\d+[^\s]*/.exec(text)?.[0] ?? text
}
