/**
 * @module Why one tag of a source is here, or is not.
 */
import { parseTag } from '../../registry/tag.ts'
import type { ListedTag } from '../port.ts'
import { mapName } from '../selection/names.ts'
import type { TagVerdict } from '../selection/tags.ts'
import type { SyncExplanation } from '../syncs.ts'
import type { RunParts } from './parts.ts'

/** Asks upstream; throws as that does. */
export async function explainTag(
  parts: RunParts,
  repository: string,
  tag: string,
  signal: AbortSignal,
): Promise<SyncExplanation> {
  const { config, selection, journal, metadata, upstream } = parts
  const mapped = mapName(config, repository)
  const local = mapped.kind === 'local' ? mapped.name : undefined
  const name = parseTag(tag)
  const row = journal.tag({ source: config.name, repository, tag: tag as never })
  const here =
    local === undefined || !name.ok ? undefined : metadata.get('tags', [local, name.value])?.digest
  const known = {
    repository,
    tag,
    local,
    localDigest: here,
    isOwned: here !== undefined && row?.local === local && row?.wrote === here,
    outcome: row?.outcome,
    reason: row?.reason,
    message: row?.message,
    attempts: row?.attempts ?? 0,
    nextRetryAt: row?.nextRetryAt,
    upstreamExpiresAt: undefined,
  }
  const verdict = selection.judge(repository)
  if (!verdict.isSelected || local === undefined) {
    const rule = verdict.isSelected ? 'bad-name' : verdict.rule
    return {
      ...known,
      isSelected: false,
      rule: ruleOf(rule, verdict.by),
      upstreamDigest: undefined,
    }
  }
  const listed = name.ok ? await upstream.tag(repository, tag, signal) : undefined
  if (listed === undefined) {
    return { ...known, isSelected: false, rule: 'gone', upstreamDigest: undefined }
  }
  const { rule, by, isShort } = await judge(parts, repository, listed, signal)
  const isSelected = rule === 'selected' && !isShort
  const said = isShort && rule === 'selected' ? 'minimum' : ruleOf(rule, by)
  const { digest: upstreamDigest, expiresAt: upstreamExpiresAt } = listed
  return { ...known, isSelected, rule: said, upstreamDigest, upstreamExpiresAt }
}

/** A rule that looks at all tags needs all of them. */
async function judge(
  { upstream, filter, clock }: RunParts,
  repository: string,
  listed: ListedTag,
  signal: AbortSignal,
): Promise<Pick<TagVerdict, 'rule' | 'by'> & { readonly isShort: boolean }> {
  if (filter.isImmediate) return { ...filter.judge(listed, clock.now()), isShort: false }
  const { verdicts, isShort } = await filter.select(
    upstream.tags(repository, { signal }),
    clock.now(),
  )
  const found = verdicts.find((it) => it.listed.tag === listed.tag)
  return { ...(found ?? { rule: 'include' }), isShort }
}

function ruleOf(rule: string, by: string | undefined): string {
  return by === undefined ? rule : `${rule}: ${by}`
}
