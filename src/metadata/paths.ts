/**
 * @module Paths: what a read of rows that change rests on, so that an answer can wait until no node gives an older
 * one. One for a tag or a digest in a repository, one for all lists of the repository, one for what is about all
 * repositories.
 */
import type { Effect } from './effects.ts'

/** Of all lists over all repositories, and of whatever has no path of its own. */
export const pathOfAll = ''

/** `reference`: a tag or a digest. */
export function pathOf(repository: string, reference: string): string {
  return `${repository}:${reference}`
}

/** Of the lists of a repository: tags, referrers, sums. */
export function pathOfLists(repository: string): string {
  return repository
}

/** The paths whose answers these effects change. */
export function pathsOf(effects: readonly Effect[]): string[] {
  const paths = new Set<string>()
  for (const [kind, repository, reference] of effects) {
    if (kind === 'session' || kind === 'anything') continue
    paths.add(pathOfAll)
    if (kind === 'tag' || kind === 'manifest' || kind === 'link') {
      paths.add(pathOf(repository, reference)).add(pathOfLists(repository))
    }
  }
  return [...paths]
}
