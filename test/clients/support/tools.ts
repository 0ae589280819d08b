/**
 * @module Finds the client programs that `setup.sh` installs. A test whose client is missing is
 * skipped with the reason, in the report and on the console; with FASTREGISTRY_REQUIRE_ALL=1 it
 * fails instead.
 */

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { TestContext } from 'vitest'
import { projectRoot } from '../../support/start-registry.ts'

const { FASTREGISTRY_CLIENT_BIN, FASTREGISTRY_REQUIRE_ALL, PATH = '' } = process.env

/** Where `setup.sh` puts what it builds from source. */
const BUILT = FASTREGISTRY_CLIENT_BIN ?? join(projectRoot(), '.cache/bin')

export function builtTool(name: string): string {
  return join(BUILT, name)
}

const FOLDERS = [BUILT, ...PATH.split(delimiter), '/usr/sbin', '/sbin']

/** The environment of every client: finds the tools, and none of the user's own settings. */
export function clientEnvironment(home: string, extra: Readonly<Record<string, string>> = {}) {
  return { PATH: FOLDERS.join(delimiter), LANG: 'C.UTF-8', HOME: home, ...extra }
}

/** Daemons and image stores that these tests run as root alone. */
const NEEDS_ROOT: ReadonlySet<string> = new Set(['dockerd', 'containerd', 'podman', 'buildah'])

/** Whether a program is installed. */
export function hasTool(name: string): boolean {
  return FOLDERS.some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Why the tests cannot run a program here, or undefined when they can. */
export function obstacleTo(name: string): string | undefined {
  if (!hasTool(name)) return `${name} is not installed (run test/clients/setup.sh)`
  if (NEEDS_ROOT.has(name) && process.getuid?.() !== 0) return `${name} needs root`
  return undefined
}

/** Skips the running test, loudly, unless every one of these programs can run. */
export function need(context: TestContext, ...names: readonly string[]): void {
  const obstacles = names.map(obstacleTo).filter((obstacle) => obstacle !== undefined)
  if (obstacles.length > 0) skipLoudly(context, obstacles.join(', '))
}

/** Marks the running test as skipped and says why. Never returns. */
export function skipLoudly(context: TestContext, reason: string): never {
  if (FASTREGISTRY_REQUIRE_ALL === '1') {
    throw new Error(`cannot run, and FASTREGISTRY_REQUIRE_ALL is set: ${reason}`)
  }
  process.stderr.write(`SKIPPED: ${context.task.name}: ${reason}\n`)
  return context.skip(reason)
}
