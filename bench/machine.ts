/**
 * @module Facts about the machine and the program under test, for the head of a report. Nothing
 * that would tell whose machine it is.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { projectRoot } from './macro/servers/ours.ts'

export interface MachineFacts {
  /** Make and model of the processor, see `processorName`. */
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly kernel: string
  readonly node: string
  /** Short hash, with `+` where files were changed since; empty outside a git repository. */
  readonly commit: string
}

export function machineFacts(): MachineFacts {
  return {
    cpu: processorName(
      existsSync(cpuInfo) ? readFileSync(cpuInfo, 'latin1') : '',
      cpus()[0]?.model,
    ),
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    kernel: release().split('-', 1)[0] ?? '',
    node: process.version,
    commit: commit(),
  }
}

const cpuInfo = '/proc/cpuinfo'

/** Makers by what a processor says of itself. */
const MAKERS: Readonly<Record<string, string>> = {
  AuthenticAMD: 'AMD',
  GenuineIntel: 'Intel',
  HygonGenuine: 'Hygon',
}

/**
 * `AMD EPYC, family 23 model 1`: hosts of virtual machines often leave little of the name, so the
 * numbers that tell one generation from the next are added. `info` is the text of /proc/cpuinfo.
 */
export function processorName(info: string, model = 'unknown'): string {
  const field = (name: string) => new RegExp(`^${name}\\s*: (.+)$`, 'm').exec(info)?.[1]
  const name = field('model name') ?? model
  const maker = MAKERS[field('vendor_id') ?? ''] ?? ''
  const full = name.includes(maker) ? name : `${maker} ${name}`
  const [family, number] = [field('cpu family'), field('model')]
  return family === undefined ? full : `${full}, family ${family} model ${number}`
}

function commit(): string {
  const hash = git('rev-parse', '--short', 'HEAD')
  if (hash === '') return ''
  return git('status', '--porcelain', '--', 'src', 'workers') === '' ? hash : `${hash}+`
}

function git(...args: readonly string[]): string {
  const { stdout, status } = spawnSync('git', args, { cwd: projectRoot(), encoding: 'utf8' })
  return status === 0 ? stdout.trim() : ''
}

/**
 * Share of all cores that others used while nothing of ours ran, 0 to 1: what a run on a shared
 * machine has to be read with.
 */
export async function foreignLoad(): Promise<number> {
  const before = coreTimes()
  await new Promise((resolve) => setTimeout(resolve, 2000))
  const after = coreTimes()
  return 1 - (after.idle - before.idle) / (after.total - before.total)
}

function coreTimes(): { readonly idle: number; readonly total: number } {
  let idle = 0
  let total = 0
  for (const { times } of cpus()) {
    idle += times.idle
    total += Object.values(times).reduce((sum, each) => sum + each, 0)
  }
  return { idle, total }
}

/** What the machine can do, MB/s of 10^6 bytes and requests/s; see `rates.ts`. */
export interface MachineRates {
  /** See `foreignLoad`. */
  readonly foreignLoad: number
  readonly memcpyMbPerSecond: number
  readonly sha256MbPerSecond: number
  readonly diskMbPerSecond: number
  readonly loopbackMbPerSecond: number
  /** wrk against a bare uWebSockets.js handler with 1 KiB; undefined where either is missing. */
  readonly bareRequestsPerSecond: number | undefined
  readonly bareMbPerSecond: number | undefined
}
