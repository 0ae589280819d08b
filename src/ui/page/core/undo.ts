/**
 * @module Deletions and their way back. The server names each deletion by an operation; that of one tag
 * by a client of `/v2/` goes back by its name.
 */
import { texts } from '../messages/catalogue.ts'
import type { RegistryEvent } from './answers.ts'
import { call, part, post } from './api.ts'

export interface Deletion {
  readonly operation: string
  readonly deleted: readonly string[]
  readonly kept: readonly { readonly tag: string; readonly reason: string }[]
}

export function deleteTags(repository: string, tags: readonly string[]): Promise<Deletion> {
  return post<Deletion>(`admin/repositories/${part(repository)}/tags/delete`, { tags })
}

/** Resolves to what to say. */
export async function undoOperation(operation: string): Promise<string> {
  await call('POST', `admin/undo/${part(operation)}`, { body: {} })
  return texts.peek().undone
}

export function canUndo({ action, tag, digest }: RegistryEvent): boolean {
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
