/**
 * @module Runs the conformance suite against a server and reads what it says.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'vitest'
import { builtTool, skipLoudly } from '../clients/support/tools.ts'
import { projectRoot, type RegistryOptions, startRegistry } from '../support/start-registry.ts'

/** Cases of the newest profile that pass. */
export const PASSES_MIN = 986

export interface Outcome {
  /** `Pass`, the worst level of any case, or how the output begins when there was no result. */
  readonly result: string
  readonly passed: number
  readonly failed: number
  readonly broken: number
  readonly skipped: number
  /** The suite's own words on the cases that did not pass. */
  readonly complaints: readonly string[]
}

/** What a run without any complaint looks like. */
export const CLEAN = { result: 'Pass', failed: 0, broken: 0, skipped: 0, complaints: [] }

/** Runs the suite against a server of its own, or one that is there (else `FASTREGISTRY_TEST_URL`). */
export async function conformance(
  context: TestContext,
  options: RegistryOptions | { readonly address: string },
  env: Readonly<Record<string, string>>,
): Promise<Outcome> {
  const suite = await suitePath()
  if (!existsSync(suite)) skipLoudly(context, `${suite} not built (run test/conformance/setup.sh)`)
  const { FASTREGISTRY_TEST_URL } = process.env
  const foreign = 'address' in options ? options.address : FASTREGISTRY_TEST_URL
  const own = 'address' in options ? {} : options
  const registry = foreign === undefined ? await startRegistry(own) : undefined
  const results = await mkdtemp(join(tmpdir(), 'fastregistry-conformance-'))
  try {
    const output = await runSuite(suite, results, {
      OCI_VERSION: 'dev',
      OCI_TLS: 'disabled',
      OCI_REGISTRY: registry?.address ?? foreign ?? '',
      OCI_REPO1: 'conformance/one',
      OCI_REPO2: 'conformance/two',
      OCI_RESULTS_DIR: results,
      ...env,
    })
    const junit = await readFile(join(results, 'junit.xml'), 'utf8').catch(() => '')
    return outcomeOf(output, junit)
  } finally {
    await rm(results, { recursive: true, force: true })
    await registry?.stop()
  }
}

/** The version stands in `setup.sh` alone. */
async function suitePath(): Promise<string> {
  const setup = await readFile(join(projectRoot(), 'test/conformance/setup.sh'), 'utf8')
  return builtTool(`conformance-${/^version=(\S+)$/m.exec(setup)?.[1]}`)
}

/**
 * Runs it in `folder`, away from stray configuration files. Its exit code says little (a wrong
 * setting exits 0), so only what it prints is judged.
 */
function runSuite(
  suite: string,
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(suite, [], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
    }
    child.once('error', reject)
    child.once('close', () => resolve(output))
  })
}

function outcomeOf(output: string, junit: string): Outcome {
  const count = (level: string) =>
    Number(RegExp(`^ {2}${level}\\.+: +(\\d+)$`, 'm').exec(output)?.[1])
  const failures = output.split('\n').filter((line) => line.includes('level=WARN'))
  const skips = [...junit.matchAll(/<testcase name="([^"]+)"[^>]*status="skipped"/g)]
  return {
    result: /^OCI Conformance Result: (\w+)$/m.exec(output)?.[1] ?? output.slice(0, 500),
    passed: count('Pass'),
    failed: count('FAIL'),
    broken: count('Error'),
    skipped: count('Skip'),
    complaints: [...failures, ...skips.map(([, name]) => `skipped: ${name}`)].slice(0, 40),
  }
}
