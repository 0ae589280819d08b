/**
 * @module `fastregistry mirror-config`: prints what clients need to pull through the mirrors of a
 * configuration, ready to paste.
 */
import { clientSnippets } from '../../mirror/client-snippets.ts'
import type { RunCommand } from '../command.ts'
import { configFile, configOf, Misuse } from '../command-line.ts'

export const mirrorConfig: RunCommand = async (line, terminal) => {
  const file = configFile(line, terminal.environment)
  if (file === undefined) throw new Misuse('mirror-config needs --config FILE')
  const names = line.operands
  const config = await configOf(line, terminal)
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
  const address = line.text('address') ?? `${host === '' ? 'registry.example' : host}:${port}`
  const isTls = config.server.tls !== undefined
  for (const mirror of config.mirrors) {
    const { name } = mirror
    if (names.length > 0 && !names.includes(name)) continue
    for (const { client, file: target, text } of clientSnippets({ ...mirror, address, isTls })) {
      terminal.print(`# ${name} for ${client}: ${target}\n${text}`)
    }
  }
  return 0
}
