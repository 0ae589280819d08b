/**
 * @module Deletions and their way back. The server names each by an operation; what a client of `/v2/` has
 * deleted goes back by its name.
 */
import { texts } from '../messages/catalogue.ts'
import type { RegistryEvent } from './answers.ts'
import { call, part, post } from './api.ts'

interface Left {
  readonly tag: string
  readonly reason: string
}

export interface Deletion {
  readonly operation: string
  readonly deleted: readonly string[]
  /** Those that stay, each with why. */
  readonly left: readonly Left[]
}

export function deleteTags(repository: string, tags: readonly string[]): Promise<Deletion> {
  return post<Deletion>(`admin/repositories/${part(repository)}/tags/delete`, { tags })
}

/** Points a tag elsewhere, unless it was moved meanwhile. */
export function moveTag(
  repository: string,
  tag: string,
  move: { readonly digest: string; readonly ifDigest: string | null },
): Promise<{ readonly operation?: string }> {
  const path = `admin/repositories/${part(repository)}/tags/${part(tag)}`
  return call('PUT', path, { body: move })
}

/** Resolves to what to say. */
export async function undoOperation(operation: string): Promise<string> {
  const path = `admin/undo/${encodeURIComponent(operation)}`
  const { left } = await post<{ readonly left: readonly Left[] }>(path)
  const t = texts.peek()
  return left.length === 0 ? t.undone : t.notUndone(left.length, left[0]!.tag, left[0]!.reason)
}

export function canUndo({ action, tag, digest, operation }: RegistryEvent): boolean {
  if (operation !== undefined) return true
  if (action === 'delete-tag') return tag !== undefined
  return action === 'delete-manifest' && digest !== undefined
}

export async function undoEvent(event: RegistryEvent): Promise<string> {
  const { operation, repository, tag, digest, action } = event
  if (operation !== undefined) return undoOperation(operation)
  await post(
    'admin/undelete',
    action === 'delete-tag' ? { repository, tag } : { repository, digest },
  )
  return texts.peek().undone
}
