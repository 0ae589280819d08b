/**
 * @module The command line as a client of the admin API: one request, a table or JSON. Commands of
 * clean-up are lists of what they ask for; this file does the asking, of a server, or with
 * `--storage` or `--config` of a store that no server has open.
 */
import { userInfo } from 'node:os'
import type { OfflineAdmin } from '../server/offline-admin.ts'
import type { CommandLine } from './command.ts'
import { Misuse, reportFailure } from './command-line.ts'
import type { Terminal } from './terminal.ts'

/** What a command of this kind works with. */
export interface Admin {
  readonly isJson: boolean
  /** True: this process does the work itself. */
  readonly isOffline: boolean
  /** The answer's JSON. Throws with the server's own sentence. */
  ask(method: string, path: string, body?: object): Promise<Json>
}

/** What the server answers instead of what was asked for: its own sentence. */
export class AdminRefusal extends Error {
  override readonly name = 'AdminRefusal'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export type Json = Readonly<Record<string, unknown>>

type Environment = Terminal['environment']

/** Runs work of the admin API; a failure is one line and exit code 1. */
export async function withAdmin(
  line: CommandLine,
  terminal: Terminal,
  work: (admin: Admin) => Promise<number>,
): Promise<number> {
  const { environment } = terminal
  const { needs } = line.command
  const isOffline = needs === 'server' && (line.has('storage') || line.has('config'))
  if (isOffline && line.has('server')) {
    throw new Misuse('use either --server or --storage/--config, not both')
  }
  const isJson = line.has('json')
  if (isOffline) {
    const store = new OfflineStore(line, environment)
    try {
      const ask: Admin['ask'] = (...request) => store.ask(...request)
      return await reportFailure(terminal, '', () => work({ isJson, isOffline, ask }))
    } finally {
      await store.close()
    }
  }
  const server = serverOf(line, environment)
  if (!URL.canParse(server)) throw new Misuse(`--server: "${server}" is not a URL`)
  const base = server.replace(/\/$/, '')
  const advice = needs === 'server' ? ' (for a stopped store use --storage or --config)' : ''
  const ask: Admin['ask'] = (...request) => askServer({ base, advice }, environment, ...request)
  return reportFailure(terminal, '', () => work({ isJson, isOffline, ask }))
}

/** The URL of the server that a command asks. */
export function serverOf(line: CommandLine, environment: Environment): string {
  return line.text('server') ?? environment['FASTREGISTRY_SERVER'] ?? defaultServer
}

const defaultServer = 'http://127.0.0.1:5000'

/** A store that the command itself opens, at its first question. */
class OfflineStore {
  readonly #line: CommandLine
  readonly #environment: Environment
  #admin: Promise<OfflineAdmin> | undefined

  constructor(line: CommandLine, environment: Environment) {
    this.#line = line
    this.#environment = environment
  }

  async ask(method: string, path: string, body?: object): Promise<Json> {
    this.#admin ??= this.#open()
    const { status, json } = await (await this.#admin).ask(method, path, body)
    const answer = json as Json
    if (status < 300) return answer
    throw new Error(String(answer['error'] ?? `status ${status}`))
  }

  async #open(): Promise<OfflineAdmin> {
    const file = this.#line.text('config')
    const path = this.#line.text('storage')
    const { loadConfig } = await import('../config/load.ts')
    const config = await loadConfig({
      ...(file === undefined ? {} : { file }),
      ...(path === undefined ? {} : { flags: new Map([['storage.path', path]]) }),
      environment: this.#environment,
    })
    const { openOfflineAdmin } = await import('../server/offline-admin.ts')
    return openOfflineAdmin(config, `${userInfo().username} (offline)`).catch((error: unknown) => {
      const text = error instanceof Error ? error.message : String(error)
      throw new Error(`${text} (for the store of a running server use --server URL)`)
    })
  }

  async close(): Promise<void> {
    const admin = await this.#admin?.catch(() => undefined)
    await admin?.close()
  }
}

/** Credentials come from `FASTREGISTRY_AUTH`. */
async function askServer(
  { base: server, advice }: { readonly base: string; readonly advice: string },
  environment: Environment,
  ...[method, path, body]: Parameters<Admin['ask']>
): Promise<Json> {
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
    throw new Error(`${server} does not answer: ${cause}${advice}`)
  }
  const text = await response.text()
  let json: Json
  try {
    json = JSON.parse(text) as Json
  } catch {
    throw new Error(`${server} answered ${response.status} without JSON: is it a FastRegistry?`)
  }
  if (response.ok) return json
  throw new AdminRefusal(response.status, String(json['error'] ?? `status ${response.status}`))
}

/** `user:password` as Basic, anything else as Bearer. */
function authorize(credentials: string): string {
  return credentials.includes(':')
    ? `Basic ${Buffer.from(credentials).toString('base64')}`
    : `Bearer ${credentials}`
}

/** Without what moves the cursor or turns the direction: some of it strangers have written. */
function shown(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')
}

/** Rows under their heads, columns as wide as needed. */
export function printTable(
  terminal: Terminal,
  heads: readonly string[],
  rows: readonly (readonly unknown[])[],
): void {
  const cells = [heads, ...rows.map((row) => row.map((cell) => shown(String(cell ?? ''))))]
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
