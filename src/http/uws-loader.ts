/**
 * @module Finds a uWebSockets.js binary. Each comes as an optional dependency of its own, under an
 * alias by Node version and glibc; npm installs the one or two whose `engines` fit, and the first
 * that loads is taken. Which binary runs where, and how that was checked: native-notes.md.
 */
import { createRequire } from 'node:module'
import type { UwsModule } from './uws-types.ts'

/** Aliases of `optionalDependencies` by Node major, best first. */
const ALIASES: Readonly<Record<string, readonly string[]>> = {
  20: ['uWebSockets.js-node20'],
  22: ['uWebSockets.js-node22', 'uWebSockets.js-node22-glibc227'],
  24: ['uWebSockets.js-node24'],
  26: ['uWebSockets.js-node26'],
}

/** Largest block of request headers, bytes: tokens and long Range lists pass 4096, its default. */
const headerBlockBytesMax = 64 * 1024

export type UwsLoad =
  | { readonly ok: true; readonly uws: UwsModule; readonly alias: string; readonly version: string }
  | { readonly ok: false; readonly reason: string }

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
  const require = createRequire(import.meta.url)
  const reasons: string[] = []
  for (const alias of aliases) {
    try {
      const uws = require(alias) as UwsModule
      const { version } = require(`${alias}/package.json`) as { version: string }
      return { ok: true, uws, alias, version }
    } catch (error) {
      reasons.push(`${alias}: ${firstLine(error)}`)
    }
  }
  return { ok: false, reason: reasons.join('; ') }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n', 1)[0] ?? text
}
