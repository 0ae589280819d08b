/**
 * @module Chooses the HTTP engine (`server.engine: auto | uws | node`) and loads only that one.
 */
import type { EngineOptions, HttpEngine } from './port.ts'

export type EngineChoice = 'auto' | 'uws' | 'node'

export interface LoadedEngine {
  readonly engine: HttpEngine
  /** One line for the log: which engine serves, and what would be faster. */
  readonly notice: string
  /** True when `auto` fell back to the slower engine: the notice is a warning. */
  readonly isFallback: boolean
}

/**
 * `auto` takes uWebSockets.js where a binary loads and node:http elsewhere. Throws when `uws` is
 * asked for by name and no binary loads.
 */
export async function loadEngine(
  choice: EngineChoice,
  options: EngineOptions,
): Promise<LoadedEngine> {
  if (choice === 'node') return loadNode(options, 'node:http serves, as configured', false)
  const { loadUws } = await import('./uws/loader.ts')
  const load = loadUws()
  if (load.ok) {
    const { UwsEngine } = await import('./uws/engine.ts')
    const notice = `uWebSockets.js ${load.version} serves (${load.alias})`
    return { engine: new UwsEngine(options, load), notice, isFallback: false }
  }
  if (choice === 'uws') {
    throw new Error(`server.engine is "uws" but no binary loads: ${load.reason}`)
  }
  const advice = 'Linux on x64 with Node 22 or 24 and glibc 2.38 or newer is several times faster'
  return loadNode(options, `node:http serves because ${load.reason}; ${advice}`, true)
}

async function loadNode(
  options: EngineOptions,
  notice: string,
  isFallback: boolean,
): Promise<LoadedEngine> {
  const { NodeEngine } = await import('./node/engine.ts')
  return { engine: new NodeEngine(options), notice, isFallback }
}
