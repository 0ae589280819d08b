/**
 * @module What a run prints: every row with its numbers, then the table of targets.
 */
import type { RowResult } from './macro/bench.ts'
import { SERVER_NAMES } from './macro/server.ts'
import type { Metrics } from './statistics.ts'
import type { Unjudged, Verdict } from './verdict.ts'

interface Column {
  readonly head: string
  readonly metric: string
}

const COLUMNS: readonly Column[] = [
  { head: 'req/s', metric: 'requestsPerSecond' },
  { head: 'MB/s', metric: 'mbPerSecond' },
  { head: 'p50 ms', metric: 'p50Ms' },
  { head: 'p99 ms', metric: 'p99Ms' },
  { head: 'p99.9', metric: 'p999Ms' },
  { head: 'ttfb p50', metric: 'ttfbP50Ms' },
  { head: 'ttfb p99', metric: 'ttfbP99Ms' },
  { head: 'CPU s/GB', metric: 'cpuSecondsPerGb' },
  { head: 'CPU s/10k', metric: 'cpuSecondsPer10k' },
  { head: 'RSS MiB', metric: 'peakRssMiB' },
  { head: 'anon MiB', metric: 'peakAnonMiB' },
  { head: 'loop p99', metric: 'loopMsP99' },
  { head: 'errors', metric: 'errors' },
]

/** One row of the suite: a line for each server, a column for each metric that any of them has. */
export function formatRow(row: RowResult): string {
  const servers = SERVER_NAMES.filter((name) => row.servers[name] !== undefined)
  const columns = [{ head: row.unit, metric: 'rate' }, ...COLUMNS].filter(({ metric }) =>
    servers.some((name) => row.servers[name]![metric] !== undefined),
  )
  const lines = servers.map((name) => [
    name,
    ...columns.map(({ metric }) => formatNumber(row.servers[name]![metric])),
    others(row.servers[name]!, columns),
  ])
  const table = formatTable([['', ...columns.map(({ head }) => head), ''], ...lines])
  const notes = [...row.notes, `client: ${row.client}`].map((note) => `  (${note})`)
  return [`${row.id}: ${row.title}`, ...table.map((line) => `  ${line}`), ...notes].join('\n')
}

/** What the columns say in another unit, or what only their maker needs. */
const HIDDEN: ReadonlySet<string> = new Set([
  'seconds',
  'requests',
  'bytes',
  'cpuSeconds',
  'cpuSecondsPerGib',
  'loopMsMax',
  'images',
  'operations',
  'ttfbP999Ms',
  'spread',
])

/** Metrics that only some rows have, after the columns. */
function others(metrics: Metrics, columns: readonly Column[]): string {
  return Object.entries(metrics)
    .filter(([name]) => !HIDDEN.has(name) && !columns.some(({ metric }) => metric === name))
    .filter(([name]) => !COLUMNS.some(({ metric }) => metric === name))
    .map(([name, value]) => `${name} ${formatNumber(value)}`)
    .join(', ')
}

/** What became of each row that both checkouts of ours ran: rate and CPU, as shares of before. */
export function formatBefore(rows: readonly RowResult[]): string {
  const lines = rows.flatMap(({ id, servers: { ours, before } }) => {
    if (ours === undefined || before === undefined) return []
    const share = (metric: string) => {
      const [now, then] = [ours[metric], before[metric]]
      return now === undefined || then === undefined ? '' : (now / then).toFixed(3)
    }
    const metrics = ['rate', 'p99Ms', 'cpuSecondsPer10k', 'cpuSecondsPerGb', 'peakAnonMiB']
    return [[id, ...metrics.map(share)]]
  })
  const head = ['shares of before', 'rate', 'p99', 'CPU/10k', 'CPU/GB', 'anon']
  return formatTable([head, ...lines]).join('\n')
}

/** The table of targets: ours, the peer, what counts, the bound, and whether it holds. */
export function formatVerdicts(
  verdicts: readonly Verdict[],
  unjudged: readonly Unjudged[] = [],
): string {
  const lines = verdicts.map((verdict) => {
    const { target, title, unit, ours, theirs, value, isMet, errors } = verdict
    return [
      title,
      target.against ?? '',
      `${formatNumber(ours)} ${unit}`.trim(),
      theirs === undefined ? '' : formatNumber(theirs),
      theirs === undefined ? '' : formatRatio(value),
      `${target.relation} ${target.bound}${target.unit ? ` ${target.unit}` : ''}`,
      errors > 0 ? `MISSED (${errors} errors)` : isMet ? 'met' : 'MISSED',
    ]
  })
  const head = ['work', 'against', 'ours', 'theirs', 'ratio', 'target', '']
  const rest = unjudged.map(({ target: { row, metric, against }, reason }) => {
    const what = metric === 'rate' ? row : `${row}: ${metric}`
    return `${what}${against === undefined ? '' : ` against ${against}`}: SKIPPED: ${reason}`
  })
  return [...(lines.length > 0 ? formatTable([head, ...lines]) : []), ...rest].join('\n')
}

export function formatRatio(value: number): string {
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** Three significant digits, thousands separated; empty for what was not measured. */
export function formatNumber(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return ''
  const size = Math.abs(value)
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3
  return value.toLocaleString('en-US', {
    maximumFractionDigits: digits,
    minimumFractionDigits: Number.isInteger(value) ? 0 : digits,
  })
}

/** Lines with columns as wide as their widest cell; numbers to the right, the first to the left. */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, index) =>
    Math.max(...rows.map((cells) => (cells[index] ?? '').length)),
  )
  return rows.map((cells) =>
    cells
      .map((cell, index) => {
        const width = widths[index]!
        const isNumber = index > 0 && /^[\d.,]+( |$)/.test(cell)
        return isNumber ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('  ')
      .trimEnd(),
  )
}
