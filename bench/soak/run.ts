/**
 * @module `npm run soak -- --minutes N`: mixed traffic for a long time, and nothing may grow: private
 * memory, descriptors, mappings, sessions, latency. The first quarter warms up; the second is
 * compared with the last. Exit code 1 when something grew.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, loopback, startProcess } from '../macro/child-process.ts'
import { projectRoot } from '../macro/servers/ours.ts'
import { judgeGrowth, type Sample } from './growth.ts'
import { Sampler } from './sampler.ts'
import { type Tally, Traffic } from './traffic.ts'

const USAGE = 'Usage: npm run soak -- [--minutes N] [--seed S] [--data DIR]'
const lanes = 8

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const value = (name: string) => {
    const at = args.indexOf(name)
    return at === -1 ? undefined : args[at + 1]
  }
  const minutes = Number(value('--minutes') ?? 3)
  const seed = Number(value('--seed') ?? Math.floor(Math.random() * 1e9))
  if (!(minutes > 0) || !Number.isFinite(seed)) {
    console.error(USAGE)
    return 2
  }
  const folder = mkdtempSync(join(value('--data') ?? '/var/tmp', 'fastregistry-soak-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  console.log(`soak: ${minutes} minutes, seed ${seed}`)
  const { samples, tally } = await soak(folder, minutes * 60_000, seed)
  const growth = judgeGrowth(samples)
  const told = growth.map(({ what, before, after }) => `${what} ${round(before)} > ${round(after)}`)
  console.log(`MEASURED soak: ${minutes} min, ${JSON.stringify(tally)}; ${told.join(', ')}`)
  const failures = growth.filter(({ isBad }) => isBad).map(({ what }) => `${what} grew`)
  if (tally.errors > 0) failures.push(`${tally.errors} errors, the first: ${tally.firstError}`)
  for (const failure of failures) console.log(`FAILED: ${failure}`)
  return failures.length === 0 ? 0 : 1
}

async function soak(
  folder: string,
  forMs: number,
  seed: number,
): Promise<{ samples: readonly Sample[]; tally: Tally }> {
  const port = await freePort()
  const config = join(folder, 'config.yaml')
  // Sessions that nobody ends expire within the run.
  writeFileSync(config, 'storage:\n  upload_ttl: 20s\n  cache_size_mb: 128\n')
  const server = await startProcess({
    command: process.execPath,
    args: [
      join(projectRoot(), 'dist/src/cli.js'),
      'serve',
      `--config=${config}`,
      `--storage=${join(folder, 'storage')}`,
      `--addr=${loopback}:${port}`,
    ],
    port,
    errorFile: join(folder, 'errors.log'),
  })
  const target = { host: loopback, port, isTls: false }
  const traffic = new Traffic(target, seed)
  const sampler = new Sampler(target, server.pid, traffic)
  try {
    const until = performance.now() + forMs
    const sampling = sampler.run(until, Math.max(1000, forMs / 200))
    await Promise.all(Array.from({ length: lanes }, (_, lane) => traffic.run(lane, until)))
    return { samples: await sampling, tally: traffic.tally }
  } finally {
    await server.stop()
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
