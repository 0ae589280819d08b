/**
 * @module The table of `docs/benchmarks.md` between `<!-- begin:bench -->` and `<!-- end:bench -->`, and
 * the ten rows of it that README shows, made from the numbers of the last full run. A unit test compares
 * them; with UPDATE_DOCS=1 it writes the blocks.
 */
import { formatNumber, formatRatio } from './report.ts'
import type { Results } from './results-file.ts'
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
  ].join('\n')
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
export function benchHighlights({ machine, run, verdicts }: Results): string {
  const rows = HIGHLIGHTS.flatMap(([row, metric, against]) =>
    verdicts.filter(
      ({ target }) => target.row === row && target.metric === metric && target.against === against,
    ),
  )
  const { cores, cpu, node } = machine
  return [
    `${run.at.slice(0, 10)}, ${cores} cores (${cpu}) for client and server, Node ${node}.`,
    '',
    ...table(rows),
  ].join('\n')
}

function table(verdicts: readonly Verdict[]): readonly string[] {
  return [
    '| Work | Against | Ours | Theirs | Ratio | Target |',
    '| --- | --- | ---: | ---: | ---: | --- |',
    ...verdicts.map(line),
  ]
}

function line({ target, title, unit, ours, theirs, value, isMet }: Verdict): string {
  const { against, relation, bound } = target
  const cells = [
    title,
    against ?? '',
    `${formatNumber(ours)} ${theirs === undefined ? unit : shortUnit(unit)}`.trim(),
    theirs === undefined ? '' : formatNumber(theirs),
    theirs === undefined ? '' : formatRatio(value),
    `${relation === '>=' ? '≥' : '≤'} ${bound}${target.unit ? ` ${target.unit}` : ''}${isMet ? '' : ', **missed**'}`,
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
