/**
 * @module The command line of `npm run bench`.
 */
import {
  ENGINES,
  type EngineName,
  isServerName,
  PEER_NAMES,
  type ServerName,
} from './macro/server.ts'

export interface BenchOptions {
  /** Short and bounded, for continuous integration: fails on gross regressions only. */
  readonly isCi: boolean
  /** Less of everything: for a look while working. */
  readonly isQuick: boolean
  /** Rows to run, by id or the start of one; empty: all. */
  readonly only: readonly string[]
  readonly peers: readonly ServerName[]
  readonly isProfile: boolean
  /** Another checkout of ours, built, that is measured in turn with this one. */
  readonly before: string | undefined
  /** What serves ours, in every row that does not say it itself. */
  readonly engine: EngineName
  /** Where the JSON goes; undefined: `bench/results/latest.json` for a full run. */
  readonly jsonFile: string | undefined
  /** Keeps each row as it ends, so that the run can go on after it was ended. */
  readonly journalFile: string | undefined
  readonly runsMicro: boolean
  readonly runsMacro: boolean
  /** Multiplies sizes and counts of the large rows. */
  readonly scale: number
  readonly rounds: number
  /** Length of one measurement, seconds. */
  readonly seconds: number
  /** Folder for the data of all servers: on the disk that is to be measured. */
  readonly dataFolder: string
}

export const USAGE = `Usage: npm run bench -- [options]

  --quick            less of everything (one-second measurements, two rounds, a tenth of the scale)
  --ci               short and bounded; exit code 1 on gross regressions only
  --only NAME,…      rows whose id is or starts with one of the names (see --list)
  --peers a,b|none   of ${PEER_NAMES.join(', ')} (default: all that are installed)
  --before DIR       measure another built checkout of ours in turn, and print the ratios
  --engine NAME      what serves ours: ${ENGINES.join(', ')} (default auto)
  --profile          run our server with a CPU profile for each row; print the top functions
  --json FILE        write the results there
  --journal FILE     keep each row there as it ends; the same run goes on behind them
  --micro | --macro  only one of the two suites
  --scale N          multiply sizes and counts of the large rows (default 1)
  --rounds N         rounds of each row (default 3; medians are reported)
  --seconds N        length of one measurement (default 3)
  --data DIR         folder for the data, on the disk to measure (default /var/tmp)
  --list             print the rows and end
`

/** Options, or what is wrong with the arguments. */
export function parseOptions(args: readonly string[]): BenchOptions | string {
  const flags = new Set<string>()
  const values = new Map<string, string>()
  for (let index = 0; index < args.length; index += 1) {
    const [name = '', inline] = args[index]!.split('=', 2)
    if (FLAGS.has(name)) flags.add(name)
    else if (VALUES.has(name)) {
      const value = inline ?? args[++index]
      if (value === undefined) return `${name} needs a value`
      values.set(name, value)
    } else return `unknown option ${name}`
  }
  const isCi = flags.has('--ci')
  const isQuick = flags.has('--quick')
  const isShort = isCi || isQuick
  const number = (name: string, otherwise: number) => Number(values.get(name) ?? otherwise)
  const peers = parsePeers(values.get('--peers'), flags.has('--profile'), isCi)
  if (typeof peers === 'string') return peers
  const engine = values.get('--engine') ?? 'auto'
  if (!(ENGINES as readonly string[]).includes(engine)) {
    return `unknown engine ${engine}; known: ${ENGINES.join(', ')}`
  }
  const options = {
    isCi,
    isQuick,
    only: list(values.get('--only')),
    peers,
    isProfile: flags.has('--profile'),
    before: values.get('--before'),
    engine: engine as EngineName,
    jsonFile: values.get('--json'),
    journalFile: values.get('--journal'),
    runsMicro: !flags.has('--macro'),
    runsMacro: !flags.has('--micro'),
    scale: number('--scale', isShort ? 0.1 : 1),
    rounds: number('--rounds', flags.has('--profile') ? 1 : isShort ? 2 : 3),
    seconds: number('--seconds', isShort ? 1 : 3),
    dataFolder: values.get('--data') ?? '/var/tmp',
  }
  const { scale, rounds, seconds } = options
  if (!(scale > 0 && rounds >= 1 && seconds >= 1)) return '--scale, --rounds, --seconds: too small'
  return options
}

const FLAGS = new Set(['--ci', '--quick', '--profile', '--micro', '--macro', '--list'])
const VALUES = new Set([
  '--only',
  '--peers',
  '--before',
  '--engine',
  '--json',
  '--journal',
  '--scale',
  '--rounds',
  '--seconds',
  '--data',
])

/** Those that `--peers` may name. */
const PEERS: ReadonlySet<string> = new Set(PEER_NAMES)

function list(text: string | undefined): string[] {
  return (text ?? '').split(',').filter((word) => word !== '')
}

function parsePeers(
  text: string | undefined,
  isProfile: boolean,
  isCi: boolean,
): readonly ServerName[] | string {
  if (text === undefined) return isProfile ? [] : isCi ? ['docker-registry'] : PEER_NAMES
  const words = text === 'none' ? [] : list(text)
  const unknown = words.find((word) => !PEERS.has(word))
  if (unknown !== undefined) return `unknown peer ${unknown}; known: ${PEER_NAMES.join(', ')}`
  return words.filter(isServerName)
}

/** Whether a row was asked for. */
export function isWanted(id: string, only: readonly string[]): boolean {
  return only.length === 0 || only.some((name) => id === name || id.startsWith(`${name}`))
}
