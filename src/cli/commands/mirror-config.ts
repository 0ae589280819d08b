/**
 * @module `fastregistry mirror-config`: prints what clients need to pull through the mirrors of a
 * configuration, ready to paste.
 */
import { ConfigError } from '../../config/explain.ts'
import { loadConfig } from '../../config/load.ts'
import { clientSnippets } from '../../mirror/client-snippets.ts'
import type { Terminal } from '../terminal.ts'

const usage = 'usage: fastregistry mirror-config --config FILE [--address HOST:PORT] [MIRROR…]'

export async function mirrorConfig(args: readonly string[], terminal: Terminal): Promise<number> {
  const names: string[] = []
  const values = new Map<string, string>()
  for (let index = 0; index < args.length; index += 1) {
    const match = /^--?(config|address)(?:=(.*))?$/s.exec(args[index]!)
    if (match === null) names.push(args[index]!)
    else values.set(match[1]!, match[2] ?? args[++index] ?? '')
  }
  const file = values.get('config') ?? ''
  if (file === '' || names.some((name) => name.startsWith('-'))) {
    terminal.printError(usage)
    return 2
  }
  try {
    const config = await loadConfig({ file, environment: terminal.environment })
    if (config.mirrors.length === 0) {
      terminal.printError(`fastregistry: ${file} configures no mirrors`)
      return 1
    }
    const missing = names.find((name) => !config.mirrors.some((mirror) => mirror.name === name))
    if (missing !== undefined) {
      terminal.printError(`fastregistry: ${file} has no mirror ${missing}`)
      return 1
    }
    const { host, port } = config.server.addr
    const address = values.get('address') ?? `${host === '' ? 'registry.example' : host}:${port}`
    const isTls = config.server.tls !== undefined
    for (const mirror of config.mirrors) {
      const { name } = mirror
      if (names.length > 0 && !names.includes(name)) continue
      for (const { client, file: target, text } of clientSnippets({
        ...mirror,
        address,
        isTls,
      })) {
        terminal.print(`# ${name} for ${client}: ${target}\n${text}`)
      }
    }
    return 0
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    terminal.printError(error.message)
    return 1
  }
}
