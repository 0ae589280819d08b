/**
 * @module The micro suite: tinybench over the parts of the hot paths, one process, one thread.
 */
import { Bench } from 'tinybench'
import { formatNumber, formatTable } from '../report.ts'
import { cacheSuite } from './cache.bench.ts'
import { hashSuite } from './hash.bench.ts'
import { metadataSuite } from './metadata.bench.ts'
import { parseSuite } from './parse.bench.ts'
import { type MicroSuite, Sink } from './suite.ts'

export interface MicroResult {
  readonly suite: string
  readonly name: string
  readonly operationsPerSecond: number
  readonly p50Ns: number
  readonly p99Ns: number
  readonly mbPerSecond?: number
}

type MakeSuite = (dataFolder: string) => MicroSuite | Promise<MicroSuite>

const SUITES: Readonly<Record<string, MakeSuite>> = {
  parse: parseSuite,
  hash: hashSuite,
  metadata: metadataSuite,
  cache: cacheSuite,
}

/** Operations so short that the clock would be what is measured are called this often at once. */
const callsAtOnce = 100

/** Runs every suite; `timeMs` bounds one task. */
export async function runMicro(
  dataFolder: string,
  timeMs: number,
  say: (line: string) => void,
): Promise<MicroResult[]> {
  const results: MicroResult[] = []
  for (const [name, make] of Object.entries(SUITES)) {
    const suite = await make(dataFolder)
    try {
      results.push(...(await runSuite(name, suite, timeMs)))
    } finally {
      await suite.close?.()
    }
  }
  say(`${format(results)}\n`)
  return results
}

async function runSuite(name: string, suite: MicroSuite, timeMs: number): Promise<MicroResult[]> {
  const sink = new Sink()
  const results: MicroResult[] = []
  for (const task of suite.tasks) {
    const isAsync = task.run() instanceof Promise
    const calls = isAsync || (task.bytes ?? 0) > 10_000 ? 1 : callsAtOnce
    const bench = new Bench({ time: timeMs, warmupTime: timeMs / 4, throws: true })
    bench.add(
      task.name,
      isAsync
        ? async () => {
            sink.value = await task.run()
          }
        : () => {
            for (let call = 0; call < calls; call += 1) sink.value = task.run()
          },
    )
    await bench.run()
    const result = bench.tasks[0]!.result
    if (!('latency' in result)) throw new Error(`${name}: ${task.name} has no result`)
    const { mean, p50, p99 } = result.latency
    const operationsPerSecond = (calls * 1000) / mean
    results.push({
      suite: name,
      name: task.name,
      operationsPerSecond,
      p50Ns: (p50 * 1e6) / calls,
      p99Ns: (p99 * 1e6) / calls,
      ...(task.bytes === undefined
        ? {}
        : { mbPerSecond: (operationsPerSecond * task.bytes) / 1e6 }),
    })
  }
  return results
}

function format(results: readonly MicroResult[]): string {
  const lines = results.map(({ suite, name, operationsPerSecond, p50Ns, p99Ns, mbPerSecond }) => [
    `${suite}: ${name}`,
    formatNumber(operationsPerSecond),
    formatNumber(p50Ns),
    formatNumber(p99Ns),
    formatNumber(mbPerSecond),
  ])
  return formatTable([['micro', 'ops/s', 'p50 ns', 'p99 ns', 'MB/s'], ...lines]).join('\n')
}
