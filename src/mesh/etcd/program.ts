/**
 * @module Which etcd a node runs: the one of the configuration, else a bundled one, else that of the `PATH`;
 * and whether its version is one that the mesh knows.
 */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { delimiter, isAbsolute, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { VERSION_BYTES_MAX, VERSION_MS } from './limits.ts'

/**
 * `missing`: there is no program. `version`: it is none of etcd 3.4 to 3.7.
 * `data`: the folder does not fit what etcd knows of this member, and starting would lose or mix something.
 * `running`: another node runs an etcd in this folder.
 */
export type EtcdRefusal = 'missing' | 'version' | 'data' | 'running'

/** Why no etcd is started. The message says what the operator can do. */
export class EtcdRefusedError extends Error {
  readonly code: EtcdRefusal

  constructor(code: EtcdRefusal, message: string) {
    super(message)
    this.name = 'EtcdRefusedError'
    this.code = code
  }
}

export interface ProgramOptions {
  /** `mesh.log.binary`; empty: not set. */
  readonly binary: string
  /** The program of a bundled package, when there is one. */
  readonly bundled?: string
  /** As the variable `PATH`. */
  readonly path: string
}

export interface EtcdProgram {
  /** Absolute. */
  readonly path: string
  /** As `3.4.23`. */
  readonly version: string
  readonly minor: number
  /** What is to be said of the version, when something is. */
  readonly warning?: string
}

const INSTRUCTION =
  'Install etcd 3.5 to 3.7 (the package etcd-server, or https://etcd.io), name it in mesh.log.binary, ' +
  'or name an etcd that runs already in mesh.log.endpoints.'

/** The program and its version. Rejects with EtcdRefusedError. */
export async function findProgram(options: ProgramOptions): Promise<EtcdProgram> {
  const path = await findPath(options)
  const text = await versionOf(path)
  const [, version, minor] = /^etcd Version: (3\.(\d{1,3})\.\S{1,40})/m.exec(text) ?? []
  if (version === undefined || Number(minor) < 4 || Number(minor) > 7) {
    const said = /^etcd Version: (.{1,40})/m.exec(text)?.[1] ?? 'of no known version'
    throw new EtcdRefusedError(
      'version',
      `${path} is ${said}; the mesh knows 3.4 to 3.7. ${INSTRUCTION}`,
    )
  }
  const program = { path, version, minor: Number(minor) }
  if (program.minor > 4) return program
  const warning = `${path} is etcd ${version}, which has had its last release: 3.5 to 3.7 are known to be sound`
  return { ...program, warning }
}

async function findPath({ binary, bundled, path }: ProgramOptions): Promise<string> {
  if (binary !== '') {
    const named = resolve(binary)
    if (await isProgram(named)) return named
    throw new EtcdRefusedError(
      'missing',
      `mesh.log.binary: ${named} is no program that can be run. ${INSTRUCTION}`,
    )
  }
  const places = path.split(delimiter).filter((folder) => isAbsolute(folder))
  const known = [
    ...(bundled === undefined ? [] : [bundled]),
    ...places.map((one) => join(one, 'etcd')),
  ]
  for (const one of known) if (await isProgram(one)) return one
  throw new EtcdRefusedError(
    'missing',
    `There is no etcd, which keeps the log of the mesh. ${INSTRUCTION}`,
  )
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}

/** What it prints; what does not run is no etcd. */
async function versionOf(path: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(path, ['--version'], {
      env: {},
      timeout: VERSION_MS,
      killSignal: 'SIGKILL',
      maxBuffer: VERSION_BYTES_MAX,
    })
    return stdout
  } catch {
    return ''
  }
}
