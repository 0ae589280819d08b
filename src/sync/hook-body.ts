/**
 * @module What the body of a hook says has changed: those of Quay, Harbor, Docker Hub and Distribution, and
 * `{repository, tag}`. A hint and no data: names are checked here, and what they mean is asked upstream.
 */
import { parseRepositoryName } from '../registry/name.ts'
import { parseTag } from '../registry/tag.ts'

export interface HookChange {
  /** By upstream's name. */
  readonly repository: string
  /** Undefined: any tag of it. */
  readonly tag?: string
}

/** Most changes that one body may name; what follows is left to the next run. */
export const hookChangesMax = 1_000

type Fields = Readonly<Record<string, unknown>>

/** What has changed, without what is no name of a repository or of a tag. Undefined: no body of a hook. */
export function readHookBody(body: unknown): readonly HookChange[] | undefined {
  const fields = fieldsOf(body)
  if (fields === undefined) return undefined
  if (Array.isArray(fields['events'])) return changesOfEvents(fields['events'])
  const harbor = fieldsOf(fields['event_data'])
  if (harbor !== undefined) return changesOfHarbor(fields['type'], harbor)
  const pushed = fieldsOf(fields['push_data'])
  if (pushed !== undefined) {
    return changesOf(fieldsOf(fields['repository'])?.['repo_name'], [pushed['tag']])
  }
  if (typeof fields['repository'] !== 'string') return undefined
  const updated = fields['updated_tags']
  return changesOf(fields['repository'], Array.isArray(updated) ? updated : [fields['tag']])
}

/** Distribution tells of pulls as well, which change nothing. */
function changesOfEvents(events: readonly unknown[]): readonly HookChange[] {
  return events.slice(0, hookChangesMax).flatMap((event) => {
    const { action, target } = fieldsOf(event) ?? {}
    if (action !== 'push' && action !== 'delete') return []
    const { repository, tag } = fieldsOf(target) ?? {}
    return changesOf(repository, [tag])
  })
}

function changesOfHarbor(type: unknown, data: Fields): readonly HookChange[] {
  if (typeof type === 'string' && type.startsWith('PULL_')) return []
  const resources = Array.isArray(data['resources']) ? data['resources'] : []
  const tags = resources.slice(0, hookChangesMax).map((one) => fieldsOf(one)?.['tag'])
  return changesOf(fieldsOf(data['repository'])?.['repo_full_name'], tags)
}

/** One for each tag; without any, or where one is no tag, the repository. */
function changesOf(name: unknown, tags: readonly unknown[]): readonly HookChange[] {
  const repository = typeof name === 'string' ? parseRepositoryName(name) : undefined
  if (repository?.ok !== true) return []
  const known = new Set<string>()
  for (const text of tags.slice(0, hookChangesMax)) {
    const tag = typeof text === 'string' ? parseTag(text) : undefined
    if (tag?.ok !== true) return [{ repository: repository.value }]
    known.add(tag.value)
  }
  if (known.size === 0) return [{ repository: repository.value }]
  return [...known].map((tag) => ({ repository: repository.value, tag }))
}

function fieldsOf(value: unknown): Fields | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? (value as Fields) : undefined
}
