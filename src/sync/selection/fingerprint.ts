/**
 * @module A short text that changes when a source would select or name something else. Stored with what
 * is known of a repository: with another one, unchanged upstream data is looked at again.
 */
import { createHash } from 'node:crypto'
import type { SyncSourceConfig } from '../../config/config.ts'

/** Raised when the meaning of a filter changes: then everything is looked at again. */
const grammarVersion = 1

/** 32 hex characters. The order of lists in which order means nothing does not change it. */
export function fingerprintOf(source: SyncSourceConfig): string {
  const { tags, referrers } = source
  const facts = [
    grammarVersion,
    source.type,
    source.url,
    source.api ?? null,
    asSet(source.organizations),
    asSet(source.repositories),
    asSet(source.excludeRepositories),
    source.destination,
    source.strip,
    asSet(tags.include),
    asSet(tags.exclude),
    tags.semver ?? null,
    tags.newest,
    tags.maxAgeMs,
    tags.min,
    asSet(source.platforms),
    [referrers.signatures, referrers.sboms, referrers.others],
  ]
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 32)
}

function asSet(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort((one, other) => (one < other ? -1 : one > other ? 1 : 0))
}
