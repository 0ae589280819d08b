/**
 * @module Judges a configuration together with everything that it names: files, folders, programs.
 * `serve` and `check-config` both ask here first, so that a start finds nothing new but ports and
 * locks. Each file is read by the very function that reads it later.
 */

import type { Config } from '../../config/config.ts'
import { ConfigError, type Problem } from '../../config/explain.ts'
import { type LoadOptions, loadPlacedConfig, type PlacedConfig } from '../../config/load.ts'
import { judgeCredentials, judgeForeignKeys, judgeUsers } from './access.ts'
import { judgeAttest } from './attest.ts'
import type { Finding } from './finding.ts'
import { judgeAudit, judgeStorage } from './folders.ts'
import { judgeMesh } from './mesh.ts'
import { judgeMirrors } from './mirrors.ts'
import { judgeEngine, judgeSchedules } from './parts.ts'
import { judgeSigning } from './signing.ts'
import { judgeSync } from './sync.ts'
import { judgeTls } from './tls.ts'

export interface Judged {
  readonly config: Config
  /** Lines for an operator; nothing of it stops a start. */
  readonly warnings: readonly string[]
}

type Judge = (config: Config) => readonly Finding[] | Promise<readonly Finding[]>

const JUDGES: readonly Judge[] = [
  judgeEngine,
  judgeSchedules,
  judgeTls,
  judgeStorage,
  judgeAudit,
  judgeUsers,
  judgeForeignKeys,
  judgeCredentials,
  judgeMesh,
  judgeMirrors,
  judgeSync,
  judgeSigning,
  judgeAttest,
]

/**
 * The configuration, when a server could start with it. Throws one `ConfigError` with everything to
 * mend: of the text first, and once that is right of all that it names.
 */
export async function judgeConfig(options: LoadOptions): Promise<Judged> {
  const placed = await loadPlacedConfig(options)
  const findings = (await Promise.all(JUDGES.map((judge) => judge(placed.config)))).flat()
  const faults = findings.filter(({ isWarning }) => isWarning !== true)
  if (faults.length > 0) throw new ConfigError(faults.map((one) => toProblem(placed, one)))
  const warnings = findings.map((one) => {
    const { source, position, message } = toProblem(placed, one)
    const place = position === undefined ? source : `${source}:${position.line}:${position.column}`
    return `${place}: warning: ${message}`
  })
  return { config: placed.config, warnings }
}

function toProblem({ placeOf }: PlacedConfig, { key, path, message }: Finding): Problem {
  return { ...placeOf(key, path), message: `${nameOf(key, path)}: ${message}` }
}

function nameOf(key: string, path: Finding['path'] = []): string {
  return key + path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('')
}
