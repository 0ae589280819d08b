/**
 * @module Finds a uWebSockets.js binary. Each comes as an optional dependency of its own, under an
 * alias by Node version and glibc; npm installs the one or two whose `engines` fit, and the first
 * that loads is taken. Which binary runs where, and how that was checked: native-notes.md.
 */
import { createRequire } from 'node:module'
import {
  type LoadedBinary,
  loadLoadedBinary,
  type RepeatingTimer,
} from '../../../runtime/loaded-binary.ts'
import { loadSocketCalls, type SocketCalls } from '../../../runtime/socket-calls.ts'
import type { UwsModule } from './types.ts'

/** Aliases of `optionalDependencies` by Node major, best first. */
const ALIASES: Readonly<Record<string, readonly string[]>> = {
  20: ['uWebSockets.js-node20'],
  22: ['uWebSockets.js-node22', 'uWebSockets.js-node22-glibc227'],
  24: ['uWebSockets.js-node24'],
  26: ['uWebSockets.js-node26'],
}

/** Largest block of request headers, bytes: tokens and long Range lists pass 4096, its default. */
const headerBlockBytesMax = 64 * 1024

/** What a binary comes with, for the engine. */
export interface LoadedUws {
  readonly uws: UwsModule
  readonly alias: string
  readonly version: string
  readonly sockets: SocketCalls
  /** The native side's only clock for connections: it looks every 4 s which are idle for too long. */
  readonly sweep: RepeatingTimer
  readonly binary: LoadedBinary
  /** `getRemotePort` is there, and the address of an adopted connection is not. */
  readonly hasPorts: boolean
}

export type UwsLoad =
  | ({ readonly ok: true } & LoadedUws)
  | { readonly ok: false; readonly reason: string }

/** How often the native side looks for idle connections as it comes, ms. */
const sweepMs = 4_000

/** The first minor version, of those that we ship, with `getRemotePort`. */
const portsFrom = 69

/** What switches the native side's own header off, for the event loop of this thread. */
const withoutMark = '999999990007'

/** A process loads a binary once, and its timer is told apart in that moment alone. */
const loadedByAlias = new Map<string, LoadedUws>()

/** The first binary that loads in this process, or a sentence that says why none does. */
export function loadUws(nodeVersion: string = process.versions.node): UwsLoad {
  const major = nodeVersion.split('.', 1)[0] ?? ''
  const aliases = ALIASES[major]
  if (aliases === undefined) {
    const known = Object.keys(ALIASES).join(', ')
    return { ok: false, reason: `there is no binary for Node ${major} (there are for ${known})` }
  }
  // The binary reads this once, when it loads.
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] = String(headerBlockBytesMax)
  const reasons: string[] = []
  for (const alias of aliases) {
    const known = loadedByAlias.get(alias)
    if (known !== undefined) return { ok: true, ...known }
    try {
      const loaded = loadAlias(alias)
      loadedByAlias.set(alias, loaded)
      return { ok: true, ...loaded }
    } catch (error) {
      reasons.push(`${alias}: ${firstLine(error)}`)
    }
  }
  return { ok: false, reason: reasons.join('; ') }
}

/** Throws where the binary does not load, or where connections could not be kept as promised. */
function loadAlias(alias: string): LoadedUws {
  const require = createRequire(import.meta.url)
  require.resolve(alias)
  const sockets = loadSocketCalls()
  if ('unavailable' in sockets) throw new Error(`koffi does not load: ${sockets.unavailable}`)
  const binary = loadLoadedBinary()
  if ('unavailable' in binary) throw new Error(`koffi does not load: ${binary.unavailable}`)
  const isSweep = ({ repeatMs }: RepeatingTimer) => repeatMs === sweepMs
  const before = binary.repeatingTimers().filter(isSweep).length
  const uws = require(alias) as UwsModule
  // Answers do not say what serves them: its name and version would be in each.
  uws._cfg(withoutMark)
  const { version } = require(`${alias}/package.json`) as { version: string }
  const sweeps = binary.repeatingTimers().filter(isSweep)
  const [sweep] = sweeps
  if (sweep === undefined || sweeps.length !== 1 || before !== 0) {
    throw new Error('its timer for idle connections is not found')
  }
  const hasPorts = Number(version.split('.')[1]) >= portsFrom
  return { uws, alias, version, sockets, sweep, binary, hasPorts }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n', 1)[0] ?? text
}
