/**
 * @module `fastregistry repos|tags|copy|undelete|retention`: what is in a registry, copies inside it,
 * undoing deletes, the plan of the retention rules; through the admin API of a server.
 */
import { type AdminFlags, askServer, commonHelp, printTable, withFlags } from '../admin-client.ts'
import type { RunCommand } from '../feature-commands.ts'
import { gc } from './gc.ts'

type Json = Record<string, unknown>

/** A command that asks for pages of a list and prints them as one table. */
function listCommand(
  usage: string,
  known: readonly string[],
  path: (flags: AdminFlags) => string | undefined,
  field: string,
  columns: Readonly<Record<string, string>>,
): RunCommand {
  return (args, terminal) =>
    withFlags(args, terminal, usage + commonHelp, { known }, async (flags) => {
      const target = path(flags)
      if (target === undefined) return undefined
      let after: string | undefined
      let isFirst = true
      do {
        const cursor = after === undefined ? '' : `after=${encodeURIComponent(after)}`
        const json = await askServer(flags, terminal.environment, 'GET', `${target}${cursor}`)
        const entries = json[field] as Json[]
        if (flags.isJson) for (const entry of entries) terminal.print(JSON.stringify(entry))
        else if (entries.length > 0 || isFirst) {
          const rows = entries.map((entry) => Object.keys(columns).map((key) => entry[key]))
          printTable(terminal, Object.values(columns), rows)
        }
        isFirst = false
        after = json['next'] as string | undefined
      } while (after !== undefined)
      return 0
    })
}

export const repos = listCommand(
  'Usage: fastregistry repos [--sort -pushed|-pulled|-size|name]',
  ['sort'],
  ({ operands, flags }) => {
    const sort = encodeURIComponent(flags.get('sort') ?? 'name')
    return operands.length > 0 ? undefined : `/admin/repositories?limit=100&sort=${sort}&`
  },
  'repositories',
  {
    name: 'REPOSITORY',
    tags: 'TAGS',
    logicalBytes: 'BYTES',
    pushedAt: 'PUSHED',
    pulledAt: 'PULLED',
  },
)

export const tags = listCommand(
  'Usage: fastregistry tags NAME [--sort -pushed]',
  ['sort'],
  ({ operands: [name, ...rest], flags }) => {
    if (name === undefined || rest.length > 0) return undefined
    const sort = encodeURIComponent(flags.get('sort') ?? 'name')
    return `/admin/repositories/${encodeURIComponent(name)}/tags?limit=1000&sort=${sort}&`
  },
  'tags',
  { tag: 'TAG', sizeBytes: 'BYTES', pushedAt: 'PUSHED', pulledAt: 'PULLED', digest: 'DIGEST' },
)

/** `name:tag`, `name@digest` or `name`. */
function split(text: string): { repository: string; tag?: string; digest?: string } {
  const [, repository = text, tag, digest] = /^([^:@]+)(?::([^@]+)|@(.+))?$/.exec(text) ?? []
  if (tag !== undefined) return { repository, tag }
  return digest === undefined ? { repository } : { repository, digest }
}

export const copy: RunCommand = (args, terminal) =>
  withFlags(
    args,
    terminal,
    `Usage: fastregistry copy NAME:TAG|NAME@DIGEST NAME[:TAG]${commonHelp}`,
    {},
    async (flags) => {
      const [from, to, ...rest] = flags.operands.map(split)
      const reference = from?.tag ?? from?.digest
      if (from === undefined || to === undefined || rest.length > 0) return undefined
      if (reference === undefined || to.digest !== undefined) return undefined
      const json = await askServer(flags, terminal.environment, 'POST', '/admin/copy', {
        from: { repository: from.repository, reference },
        to,
      })
      const { digest, manifests, blobs } = json
      const line = `${String(digest)}: ${String(manifests)} manifests, ${String(blobs)} blobs`
      terminal.print(flags.isJson ? JSON.stringify(json) : line)
      return 0
    },
  )

export const undelete: RunCommand = (args, terminal) =>
  withFlags(
    args,
    terminal,
    `Usage: fastregistry undelete NAME (lists) | NAME:TAG | NAME@DIGEST${commonHelp}`,
    { known: ['digest'] },
    async (flags) => {
      const [text, ...rest] = flags.operands
      if (text === undefined || rest.length > 0) return undefined
      const of = split(text)
      const name = encodeURIComponent(of.repository)
      if (of.tag === undefined && of.digest === undefined) {
        const path = `/admin/repositories/${name}/deleted?limit=1000`
        const json = await askServer(flags, terminal.environment, 'GET', path)
        if (flags.isJson) terminal.print(JSON.stringify(json))
        else {
          const rows = (json['deleted'] as Json[]).map((it) => [
            it['tag'] ?? '',
            it['digest'],
            it['deletedAt'],
            it['by'],
            it['why'],
          ])
          printTable(terminal, ['TAG', 'DIGEST', 'DELETED', 'BY', 'WHY'], rows)
        }
        return 0
      }
      const json = await askServer(flags, terminal.environment, 'POST', '/admin/undelete', of)
      if (flags.isJson) terminal.print(JSON.stringify(json))
      else {
        for (const kind of ['tags', 'manifests', 'blobs']) {
          terminal.print(`${kind}: ${(json[kind] as string[]).length}`)
        }
      }
      return 0
    },
  )

/** The retention rules are part of every plan: the same words under the name that people look for. */
export const retention: RunCommand = (args, terminal) => gc(args, terminal)
