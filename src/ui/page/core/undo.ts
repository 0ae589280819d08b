/**
 * @module Deletions and their way back.
 */
import { texts } from '../messages/catalogue.ts'
import type { RegistryEvent } from './answers.ts'
import { get, part, post } from './api.ts'

export interface Deletion {
  readonly deleted: readonly string[]
  readonly kept: readonly string[]
}

interface PlanAnswer {
  readonly id: string
}

/** Patterns of one plan. */
const planMax = 100

/** Deletes tags by plans, so that the rules of the registry judge each of them. */
export async function deleteTags(repository: string, tags: readonly string[]): Promise<Deletion> {
  const deleted: string[] = []
  for (let from = 0; from < tags.length; from += planMax) {
    const some = tags.slice(from, from + planMax)
    const body = { repositories: [repository], tags: some }
    const { id } = await post<PlanAnswer>('admin/gc/plans', body)
    const path = `admin/gc/plans/${part(id)}`
    const { items } = await get<{ readonly items: readonly { readonly tag?: string }[] }>(
      `${path}/items`,
      { limit: 1_000 },
    )
    const found = items.flatMap(({ tag }) => tag ?? [])
    if (found.length > 0) await post(`${path}/apply`, { wait: true })
    deleted.push(...found)
  }
  const gone = new Set(deleted)
  return { deleted, kept: tags.filter((tag) => !gone.has(tag)) }
}

/** Requests that run at a time. */
const atOnce = 6

/** Brings tags back. Resolves to what to say. */
export async function restoreTags(repository: string, tags: readonly string[]): Promise<string> {
  const left = [...tags]
  const work = async () => {
    for (let tag = left.pop(); tag !== undefined; tag = left.pop()) {
      await post('admin/undelete', { repository, tag })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return texts.peek().undone
}

export function canUndo({ action, tag, digest }: RegistryEvent): boolean {
  if (action === 'delete-tag') return tag !== undefined
  return action === 'delete-manifest' && digest !== undefined
}

export async function undoEvent(event: RegistryEvent): Promise<string> {
  const { repository, tag, digest, action } = event
  await post(
    'admin/undelete',
    action === 'delete-tag' ? { repository, tag } : { repository, digest },
  )
  return texts.peek().undone
}
