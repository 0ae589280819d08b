/**
 * @module regsync of regclient: a program that copies from one registry to another. It serves nothing, so it
 * takes part only in the rows about syncs.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, versionLine } from '../child-process.ts'
import type { Target } from '../http-client.ts'
import type { ServerKind } from '../server.ts'
import { peersFolder } from './distribution.ts'

const program = () => findProgram('regsync', peersFolder())

export function regsyncKind(): ServerKind {
  const found = program()
  return {
    name: 'regsync',
    version: found && `regsync ${versionLine(found, 'version').replace(/^VCSTag:\s*/, '')}`,
    isRegistry: false,
    isReference: true,
    start: () => Promise.reject(new Error('regsync serves nothing')),
  }
}

export interface RegsyncRun {
  readonly folder: string
  readonly from: Target
  readonly to: Target
  readonly repositories: readonly string[]
}

/** One run of all repositories, with what is attached, as ours copies it; the seconds that it took. */
export async function runRegsync({ folder, from, to, repositories }: RegsyncRun): Promise<number> {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'regsync.json')
  const at = ({ host, port }: Target) => `${host}:${port}`
  const config = {
    version: 1,
    creds: [from, to].map((one) => ({ registry: at(one), tls: 'disabled' })),
    defaults: { referrers: true, digestTags: true },
    sync: repositories.map((name) => ({
      source: `${at(from)}/${name}`,
      target: `${at(to)}/${name}`,
      type: 'repository',
    })),
  }
  // YAML reads JSON.
  writeFileSync(file, JSON.stringify(config))
  const log = join(folder, 'regsync.log')
  const output = openSync(log, 'a')
  const startedAt = performance.now()
  const child = spawn(program()!, ['once', '--config', file, '--verbosity', 'warn'], {
    stdio: ['ignore', output, output],
    env: { PATH: process.env['PATH'], HOME: folder },
  })
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', resolve)
  })
  if (code !== 0)
    throw new Error(`regsync: exit ${code}: ${readFileSync(log, 'utf8').slice(-1000)}`)
  return (performance.now() - startedAt) / 1_000
}
