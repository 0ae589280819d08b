/**
 * @module The command line as a client of the admin API: flags, one request, a table or JSON, exit
 * codes. Commands of clean-up are lists of what they ask for; this file does the asking, of a server,
 * or with `--storage` or `--config` of a store that nobody serves.
 */
import { userInfo } from 'node:os'
import { loadConfig } from '../config/load.ts'
import type { OfflineAdmin } from '../server/offline-admin.ts'
import type { Terminal } from './terminal.ts'

export interface AdminFlags {
  readonly operands: readonly string[]
  readonly server: string
  readonly isJson: boolean
  /** Further flags by name; `true` for those without a value. */
  readonly flags: ReadonlyMap<string, string>
  /** The store to open instead of asking a server. */
  readonly offline?: OfflineStore
}

/** Help for the flags that every command of this kind has. */
export const commonHelp = `
  --server URL     the registry (FASTREGISTRY_SERVER; default http://127.0.0.1:5000)
  --storage PATH, --config FILE
                   a store that no server has open; the work is done here
  --json           the answer as it came`

/** Flags of every command of this kind. */
const COMMON = ['server', 'json', 'storage', 'config']

/** The words after the command; a text says what is wrong with them. */
export function parseFlags(
  args: readonly string[],
  known: readonly string[],
  switches: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): AdminFlags | string {
  const operands: string[] = []
  const flags = new Map<string, string>()
  for (let index = 0; index < args.length; index += 1) {
    const match = /^--?([a-z][a-z-]*)(?:=(.*))?$/s.exec(args[index]!)
    if (match === null) {
      operands.push(args[index]!)
      continue
    }
    const [, name = '', inline] = match
    if (name === 'json' || switches.includes(name)) flags.set(name, 'true')
    else if (![...COMMON, ...known].includes(name)) return `unknown flag --${name}`
    else {
      const value = inline ?? args[++index]
      if (value === undefined) return `flag --${name} needs a value`
      flags.set(name, value)
    }
  }
  const server =
    flags.get('server') ?? environment['FASTREGISTRY_SERVER'] ?? 'http://127.0.0.1:5000'
  if (!URL.canParse(server)) return `--server: "${server}" is not a URL`
  const isOffline = flags.has('storage') || flags.has('config')
  if (isOffline && flags.has('server')) return '--server and a store: say one of them'
  const offline = isOffline ? { offline: new OfflineStore(flags, environment) } : {}
  return {
    operands,
    server: server.replace(/\/$/, ''),
    isJson: flags.has('json'),
    flags,
    ...offline,
  }
}

/** A store that the command itself opens, at its first question. */
class OfflineStore {
  readonly #flags: ReadonlyMap<string, string>
  readonly #environment: Readonly<Record<string, string | undefined>>
  #admin: Promise<OfflineAdmin> | undefined

  constructor(
    flags: ReadonlyMap<string, string>,
    environment: Readonly<Record<string, string | undefined>>,
  ) {
    this.#flags = flags
    this.#environment = environment
  }

  async ask(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
    this.#admin ??= this.#open()
    const { status, json } = await (await this.#admin).ask(method, path, body)
    const answer = json as Record<string, unknown>
    if (status < 300) return answer
    throw new Error(String(answer['error'] ?? `status ${status}`))
  }

  async #open(): Promise<OfflineAdmin> {
    const file = this.#flags.get('config')
    const path = this.#flags.get('storage')
    const config = await loadConfig({
      ...(file === undefined ? {} : { file }),
      ...(path === undefined ? {} : { flags: new Map([['storage.path', path]]) }),
      environment: this.#environment,
    })
    const { openOfflineAdmin } = await import('../server/offline-admin.ts')
    return openOfflineAdmin(config, `${userInfo().username} (offline)`).catch((error: unknown) => {
      const text = error instanceof Error ? error.message : String(error)
      throw new Error(`${text} (a server that has the store answers to --server URL)`)
    })
  }

  async close(): Promise<void> {
    const admin = await this.#admin?.catch(() => undefined)
    await admin?.close()
  }
}

/** The answer's JSON; throws with the server's own sentence. `token` comes from the environment. */
export async function askServer(
  { server, offline }: AdminFlags,
  environment: Readonly<Record<string, string | undefined>>,
  method: string,
  path: string,
  body?: object,
): Promise<Record<string, unknown>> {
  if (offline !== undefined) return offline.ask(method, path, body)
  const credentials = environment['FASTREGISTRY_AUTH']
  const authorization = credentials === undefined ? {} : { Authorization: authorize(credentials) }
  let response: Response
  try {
    response = await fetch(`${server}${path}`, {
      method,
      headers: { 'Content-Type': 'application/json', ...authorization },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  } catch (error) {
    const cause = (error as { cause?: { message?: string } }).cause?.message ?? String(error)
    throw new Error(`${server} does not answer: ${cause} (a stopped store: --storage or --config)`)
  }
  const text = await response.text()
  let json: Record<string, unknown>
  try {
    json = JSON.parse(text) as Record<string, unknown>
  } catch {
    throw new Error(`${server} answered ${response.status} without JSON: is it a FastRegistry?`)
  }
  if (response.ok) return json
  throw new Error(String(json['error'] ?? `status ${response.status}`))
}

/** `user:password` as Basic, anything else as Bearer. */
function authorize(credentials: string): string {
  return credentials.includes(':')
    ? `Basic ${Buffer.from(credentials).toString('base64')}`
    : `Bearer ${credentials}`
}

/** Rows under their heads, columns as wide as needed. */
export function printTable(
  terminal: Terminal,
  heads: readonly string[],
  rows: readonly (readonly unknown[])[],
): void {
  const cells = [heads, ...rows.map((row) => row.map((cell) => String(cell ?? '')))]
  const widths = heads.map((_, column) =>
    Math.max(...cells.map((row) => (row[column] ?? '').length)),
  )
  for (const row of cells) {
    terminal.print(
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
  }
}

/** Runs a command's work: one line for what went wrong; 1 failed, 2 not understood. */
export async function withFlags(
  args: readonly string[],
  terminal: Terminal,
  usage: string,
  options: { readonly known?: readonly string[]; readonly switches?: readonly string[] },
  work: (flags: AdminFlags) => Promise<number | undefined>,
): Promise<number> {
  const { known = [], switches = [] } = options
  const flags = parseFlags(args, known, switches, terminal.environment)
  if (typeof flags === 'string') {
    terminal.printError(`fastregistry: ${flags}\n${usage}`)
    return 2
  }
  try {
    const code = await work(flags)
    if (code !== undefined) return code
    terminal.printError(usage)
    return 2
  } catch (error) {
    terminal.printError(`fastregistry: ${error instanceof Error ? error.message : String(error)}`)
    return 1
  } finally {
    await flags.offline?.close()
  }
}
