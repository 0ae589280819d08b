/**
 * @module `fastregistry repos|tags|copy|undelete`: what is in a registry, copies inside it, undoing
 * deletes; through the admin API.
 */
import { type Json, printTable, withAdmin } from '../admin-client.ts'
import type { CommandLine, RunCommand } from '../command.ts'
import { Misuse } from '../command-line.ts'

/** A command that asks for the pages of a list and prints them as one table. */
function listCommand(
  path: (line: CommandLine) => string,
  field: string,
  columns: Readonly<Record<string, string>>,
): RunCommand {
  return (line, terminal) =>
    withAdmin(line, terminal, async ({ ask, isJson }) => {
      const sort = encodeURIComponent(line.text('sort') ?? 'name')
      let after: string | undefined
      let isFirst = true
      do {
        const cursor = after === undefined ? '' : `&after=${encodeURIComponent(after)}`
        const json = await ask('GET', `${path(line)}&sort=${sort}${cursor}`)
        const entries = json[field] as Json[]
        if (isJson) for (const entry of entries) terminal.print(JSON.stringify(entry))
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

export const repos = listCommand(() => '/admin/repositories?limit=100', 'repositories', {
  name: 'REPOSITORY',
  tags: 'TAGS',
  logicalBytes: 'BYTES',
  pushedAt: 'PUSHED',
  pulledAt: 'PULLED',
})

export const tags = listCommand(
  ({ operands }) => `/admin/repositories/${encodeURIComponent(operands[0]!)}/tags?limit=1000`,
  'tags',
  { tag: 'TAG', sizeBytes: 'BYTES', pushedAt: 'PUSHED', pulledAt: 'PULLED', digest: 'DIGEST' },
)

interface Named {
  readonly repository: string
  readonly tag?: string
  readonly digest?: string
}

/** `name:tag`, `name@digest` or `name`. */
export function splitImageName(text: string): Named {
  const [, repository = text, tag, digest] = /^([^:@]+)(?::([^@]+)|@(.+))?$/.exec(text) ?? []
  if (tag !== undefined) return { repository, tag }
  return digest === undefined ? { repository } : { repository, digest }
}

export const copy: RunCommand = async (line, terminal) => {
  const [from, to] = line.operands.map(splitImageName) as [Named, Named]
  const reference = from.tag ?? from.digest
  if (reference === undefined) throw new Misuse('copy needs a tag or a digest to copy')
  if (to.digest !== undefined) throw new Misuse('copy needs a name or a tag for the copy')
  return withAdmin(line, terminal, async ({ ask, isJson }) => {
    const body = { from: { repository: from.repository, reference }, to }
    const json = await ask('POST', '/admin/copy', body)
    const { digest, manifests, blobs } = json
    const text = `${String(digest)}: ${String(manifests)} manifests, ${String(blobs)} blobs`
    terminal.print(isJson ? JSON.stringify(json) : text)
    return 0
  })
}

export const undelete: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async ({ ask, isJson }) => {
    const digest = line.text('digest')
    const named = splitImageName(line.operands[0]!)
    const of = digest === undefined ? named : { ...named, digest }
    if (of.tag === undefined && of.digest === undefined) {
      const name = encodeURIComponent(of.repository)
      const json = await ask('GET', `/admin/repositories/${name}/deleted?limit=1000`)
      if (isJson) terminal.print(JSON.stringify(json))
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
    const json = await ask('POST', '/admin/undelete', of)
    if (isJson) terminal.print(JSON.stringify(json))
    else {
      for (const kind of ['tags', 'manifests', 'blobs']) {
        terminal.print(`${kind}: ${(json[kind] as string[]).length}`)
      }
    }
    return 0
  })
