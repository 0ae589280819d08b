/**
 * @module What one client's test file works with: the registry, the images, a temporary folder that
 * is also the client's HOME, and a way to run its commands there.
 */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { type ImageSet, imageSet } from './images.ts'
import { type RunResult, run, runFailing } from './run.ts'
import { openTarget, type Target } from './target.ts'
import { clientEnvironment, need, obstacleTo } from './tools.ts'

export interface Session {
  readonly target: Target
  readonly images: ImageSet
  readonly folder: string
  /** A path inside the folder. */
  own(name: string): string
  /** An image reference on the registry: `at('team/app:v1')`. */
  at(name: string): string
  /** Runs a client command; throws with its output when it fails. */
  run(command: string, ...args: readonly string[]): Promise<RunResult>
  /** Runs a client command that has to fail and returns its output. */
  runFailing(command: string, ...args: readonly string[]): Promise<string>
}

interface Opened {
  readonly target: Target
  readonly images: ImageSet
  readonly folder: string
}

/**
 * Opens a session around the tests of the calling file. Where one of `tools` is missing, nothing
 * is started and each test is skipped.
 */
export function clientSession(...tools: readonly string[]): Session {
  let opened: Opened | undefined
  const current = (): Opened => {
    assert(opened !== undefined, 'the session is open only while tests run')
    return opened
  }
  const own = (name: string) => join(current().folder, name)
  const options = () => {
    // An empty COSIGN_PASSWORD keeps cosign from asking for one.
    const env = clientEnvironment(current().folder, { COSIGN_PASSWORD: '' })
    return { env, cwd: current().folder }
  }

  beforeAll(async () => {
    if (tools.some(obstacleTo)) return
    const images = await imageSet()
    const folder = await mkdtemp(join(tmpdir(), 'fastregistry-client-'))
    opened = { images, folder, target: await openTarget() }
  })
  afterAll(async () => {
    if (opened === undefined) return
    await rm(opened.folder, { recursive: true, force: true })
    await opened.target.stop()
  })
  let linesBefore = 0
  beforeEach((context) => {
    need(context, ...tools)
    linesBefore = current().target.process?.logs().length ?? 0
  })
  afterEach(({ task }) => {
    const logs = opened?.target.process?.logs() ?? []
    if (task.result?.state === 'fail') reportServerErrors(logs.slice(linesBefore))
  })

  return {
    get target() {
      return current().target
    },
    get images() {
      return current().images
    },
    get folder() {
      return current().folder
    },
    own,
    at: (name) => `${current().target.address}/${name}`,
    run: (command, ...args) => run(command, args, options()),
    runFailing: (command, ...args) => runFailing(command, args, options()),
  }
}

/** The server's newest errors (pino levels 50 and 60), and lines that are not its log at all. */
function reportServerErrors(logs: readonly string[]): void {
  const errors = logs.filter((line) => /^\{"level":[56]0|^[^{]/.test(line)).slice(-10)
  if (errors.length > 0) process.stderr.write(`the server's errors:\n${errors.join('\n')}\n`)
}
