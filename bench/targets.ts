/**
 * @module What the project promises of its speed, as data: one line a promise. Reports, verdicts,
 * the gate of `--ci` and the table of README are made from this list and from nothing else.
 */
import type { ServerName } from './macro/server.ts'

export interface Target {
  /** Row of the suite, and its metric that counts. */
  readonly row: string
  readonly metric: string
  /** A peer: the ratio ours / theirs counts. Undefined: the metric of ours itself. */
  readonly against: ServerName | undefined
  readonly relation: '>=' | '<='
  readonly bound: number
  /** Unit of an absolute metric, for print. */
  readonly unit?: string
  /** What an absolute metric is measured against or of, in words. */
  readonly of?: string
  /**
   * Left out of the gate of `--ci`: a small push is all flush, and a shared disk says little; a delay
   * of a few seconds' run is that of the other processes too.
   */
  readonly isUngated?: boolean
}

const atLeast = (row: string, against: ServerName, bound: number): Target => ({
  row,
  metric: 'rate',
  against,
  relation: '>=',
  bound,
})

const pushAtLeast = (row: string, against: ServerName, bound: number): Target => ({
  ...atLeast(row, against, bound),
  isUngated: true,
})

const cpuAtMost = (row: string, bound: number): Target => ({
  row,
  metric: 'cpuSecondsPerGb',
  against: 'distribution',
  relation: '<=',
  bound,
})

const pushCpuAtMost = (row: string, bound: number): Target => ({
  ...cpuAtMost(row, bound),
  metric: 'cpuSecondsPerGib',
  isUngated: true,
})

/** What both do to the same upstream. */
const ofRegsync = (
  row: string,
  metric: string,
  bound: number,
  unit: string,
  of: string,
): Target => ({
  row,
  metric,
  against: 'regsync',
  relation: '<=',
  bound,
  unit,
  of,
})

const absolute = (
  row: string,
  metric: string,
  relation: '>=' | '<=',
  bound: number,
  unit: string,
  of: string,
): Target => ({ row, metric, against: undefined, relation, bound, unit, of })

export const TARGETS: readonly Target[] = [
  atLeast('get-manifest-16', 'docker-registry', 40),
  atLeast('get-manifest-16', 'distribution', 12),
  atLeast('get-manifest-256', 'docker-registry', 40),
  atLeast('get-manifest-256', 'distribution', 12),
  atLeast('head-manifest', 'docker-registry', 40),
  atLeast('head-blob', 'docker-registry', 40),
  atLeast('get-blob-1k', 'docker-registry', 80),
  atLeast('get-blob-1k', 'nginx', 0.8),
  atLeast('get-blob-64k', 'docker-registry', 40),
  atLeast('get-blob-64k', 'nginx', 1),
  atLeast('get-blob-64k', 'bare', 0.9),
  atLeast('get-blob-1m', 'docker-registry', 8),
  atLeast('get-blob-1m', 'distribution', 5),
  atLeast('get-blob-1m', 'nginx', 1.3),
  atLeast('get-blob-1m', 'bare', 0.92),
  atLeast('get-blob-10m', 'docker-registry', 1.7),
  atLeast('get-blob-10m', 'distribution', 1.6),
  atLeast('get-blob-10m', 'nginx', 1.5),
  atLeast('get-blob-10m', 'bare', 0.92),
  atLeast('get-blob-100m', 'docker-registry', 1.3),
  atLeast('get-blob-100m', 'distribution', 1.3),
  atLeast('get-blob-100m', 'nginx', 1.8),
  atLeast('get-blob-100m', 'bare', 0.95),
  atLeast('many-blobs', 'docker-registry', 10),
  atLeast('cold-blobs', 'docker-registry', 1.1),
  absolute('cold-blobs', 'loopMsP99', '<=', 10, 'ms', 'event-loop delay, p99'),
  cpuAtMost('get-blob-1m', 0.2),
  cpuAtMost('get-blob-10m', 0.5),
  cpuAtMost('get-blob-100m', 0.8),
  absolute('equal-shares', 'spread', '<=', 1.5, '', 'slowest / fastest'),
  {
    ...absolute(
      'push-1g',
      'ofMachine',
      '>=',
      0.75,
      '',
      'share of min(SHA-256, durable disk write)',
    ),
    isUngated: true,
  },
  pushAtLeast('push-1g', 'docker-registry', 3),
  pushAtLeast('push-1g', 'distribution', 1.8),
  pushAtLeast('push-4x1g', 'docker-registry', 2.5),
  pushAtLeast('push-4x1g', 'distribution', 1.5),
  pushCpuAtMost('push-1g', 0.7),
  pushCpuAtMost('push-4x1g', 0.7),
  pushAtLeast('push-layers', 'distribution', 1.6),
  pushAtLeast('push-images', 'docker-registry', 12),
  pushAtLeast('push-images-32', 'docker-registry', 12),
  pushAtLeast('traffic-1mb', 'distribution', 1.8),
  pushAtLeast('traffic-10mb', 'distribution', 1.8),
  pushAtLeast('traffic-100mb', 'distribution', 1.8),
  absolute('tags-page', 'p99Ms', '<=', 10, 'ms', 'p99'),
  absolute('catalog-page', 'p99Ms', '<=', 10, 'ms', 'p99'),
  absolute('gc-half', 'seconds', '<=', 90, 's', 'from asking to the end'),
  absolute('gc-half', 'growthMiB', '<=', 100, 'MiB', 'growth of private memory'),
  {
    ...absolute('gc-half', 'loopMsP99', '<=', 10, 'ms', 'event-loop delay, p99'),
    isUngated: true,
  },
  absolute('gc-beside-pushes', 'pushesOfQuiet', '>=', 0.8, '', 'rate of the pushes without it'),
  absolute('gc-nothing', 'seconds', '<=', 2, 's', 'from asking to the end'),
  absolute('delete-tag', 'p50Ms', '<=', 5, 'ms', 'p50'),
  atLeast('gc-peer', 'distribution', 1),
  absolute('pressure', 'peakAnonMiB', '<=', 350, 'MiB', 'peak private memory (RssAnon)'),
  absolute('push-bundles', 'loopMsP99', '<=', 10, 'ms', 'event-loop delay, p99'),
  absolute('pressure', 'loopMsP99', '<=', 10, 'ms', 'event-loop delay, p99'),
  absolute('pressure', 'manifestTtfbP99Ms', '<=', 5, 'ms', 'first byte of a manifest, p99'),
  absolute('get-manifest-basic', 'ofOpen', '>=', 0.8, '', 'rate of the open registry'),
  absolute('get-manifest-bearer', 'ofOpen', '>=', 0.8, '', 'rate of the open registry'),
  absolute(
    'get-manifest-gated',
    'ofUngated',
    '>=',
    0.97,
    '',
    'rate of a repository without a policy',
  ),
  absolute('wrong-passwords', 'loopMsP99', '<=', 20, 'ms', 'event-loop delay, p99'),
  absolute(
    'wrong-passwords',
    'p99OfQuiet',
    '<=',
    2,
    '',
    "other clients' p99, under the flood / quiet",
  ),
  atLeast('tls-get-blob-1m', 'docker-registry', 1.5),
  atLeast('tls-get-blob-100m', 'docker-registry', 1.5),
  absolute('mirror-cold', 'ofDirect', '<=', 1.15, '', 'time of the same pull from upstream'),
  atLeast('mirror-cold', 'distribution', 1),
  atLeast('mirror-cold-loopback', 'distribution', 1),
  {
    row: 'mirror-cold-50',
    metric: 'upstreamMb',
    against: 'distribution',
    relation: '<=',
    bound: 0.1,
    unit: 'MB from upstream',
    of: 'bytes from upstream',
  },
  absolute('mirror-hit', 'ofLocal', '>=', 0.95, '', 'rate of a blob that was pushed'),
  ofRegsync('sync-first', 'upstreamRequests', 0.8, 'requests', 'requests to upstream'),
  ofRegsync('sync-first', 'wallSeconds', 0.8, 's', 'time'),
  ofRegsync('sync-nothing', 'upstreamRequests', 0.5, 'requests', 'requests to upstream'),
  ofRegsync('sync-nothing', 'wallSeconds', 0.5, 's', 'time'),
  absolute('sync-images', 'getsOfBlobs', '<=', 1, '', 'fetches of each distinct blob'),
  absolute('sync-images', 'growthMiB', '<=', 100, 'MiB', 'growth of private memory'),
  absolute('sync-images', 'loopMsP99', '<=', 10, 'ms', 'event-loop delay, p99'),
  absolute('sync-beside-pushes', 'ofQuiet', '>=', 0.8, '', 'rate of the pushes without it'),
  absolute('sync-beside-pulls', 'ofQuiet', '>=', 0.8, '', 'rate of the pulls without it'),
  absolute('mesh-get-manifest', 'ofSingle', '>=', 0.9, '', 'rate of one node alone'),
  absolute('mesh-get-blob', 'ofSingle', '>=', 0.9, '', 'rate of one node alone'),
  absolute('mesh-get-elsewhere', 'ofLocal', '>=', 0.4, '', 'first pull: rate of a local copy'),
  absolute(
    'mesh-get-elsewhere',
    'secondOfLocal',
    '>=',
    0.9,
    '',
    'second pull: rate of a local copy',
  ),
  absolute('mesh-push-images', 'ofSingle', '>=', 0.3, '', 'rate of one node alone'),
  absolute('mesh-move-tag', 'p99Ms', '<=', 50, 'ms', 'p99'),
  absolute('mesh-killed-node', 'pushMs', '<=', 5_000, 'ms', 'longest wait of a push'),
  absolute('mesh-killed-node', 'pullMs', '<=', 100, 'ms', 'longest wait of a pull'),
  absolute('mesh-catch-up', 'seconds', '<=', 30, 's', 'from its start until it serves'),
  absolute('start-up', 'startMs', '<=', 1000, 'ms', 'start until the first answer'),
  absolute('idle', 'peakAnonMiB', '<=', 120, 'MiB', 'private memory (RssAnon)'),
  atLeast('node-get-manifest', 'distribution', 3),
  atLeast('node-get-blob-1m', 'distribution', 1.5),
  atLeast('node-get-blob-100m', 'distribution', 1),
  pushAtLeast('node-push-1g', 'distribution', 1.2),
]

/** `--ci` fails below this share of a target (or above its inverse): a gross regression, not noise. */
export const grossFactor = 0.5
