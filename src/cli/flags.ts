/**
 * @module The flags that many commands share, by what a command needs.
 */
import type { Command, Flags } from './command.ts'

const config = {
  type: 'text',
  value: 'FILE',
  example: 'config.yaml',
  summary: 'configuration file (YAML); else $FASTREGISTRY_CONFIG, else the defaults',
} as const

/** They win over the file. Those with a setting are the flags of the schema (`config/schema.ts`). */
const CONFIG_FLAGS: Flags = {
  config,
  storage: {
    type: 'text',
    value: 'DIR',
    example: './data',
    summary: 'storage.path: folder that holds everything',
    setting: 'storage.path',
  },
  addr: {
    type: 'text',
    value: 'ADDRESS',
    example: ':5000',
    summary: 'server.addr: address to listen on, such as :5000',
    setting: 'server.addr',
  },
  open: {
    type: 'switch',
    summary: 'server.open: without auth and access, let the network in',
    setting: 'server.open',
  },
}

const server = {
  type: 'text',
  value: 'URL',
  example: 'http://127.0.0.1:5000',
  summary: 'the registry; else $FASTREGISTRY_SERVER, else http://127.0.0.1:5000',
} as const

const json = { type: 'switch', summary: 'print the answer as JSON' } as const

const SERVER_FLAGS: Flags = {
  server,
  storage: {
    type: 'text',
    value: 'DIR',
    example: './data',
    summary: 'a store that no server has open; the command works on it without a server',
  },
  config: { ...config, summary: 'the configuration of such a store' },
  json,
}

const BY_NEED: Readonly<Record<Command['needs'], Flags>> = {
  config: CONFIG_FLAGS,
  store: CONFIG_FLAGS,
  server: SERVER_FLAGS,
  running: { server, json },
  nothing: {},
}

/** The flags of a command, its own first. */
export function flagsOf({ flags, needs }: Command): Flags {
  return { ...flags, ...BY_NEED[needs] }
}

/** What a command accepts: one that needs nothing ignores the flags of a configuration. */
export function takenBy(command: Command): Flags {
  return command.needs === 'nothing' ? { ...CONFIG_FLAGS, ...command.flags } : flagsOf(command)
}
