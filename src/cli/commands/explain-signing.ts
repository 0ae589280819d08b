/**
 * @module `fastregistry check-config --explain-signing REPOSITORY[:TAG]`: which policy of signatures decides, reported
 * by the code that decides in the server.
 */
import { parseRepositoryName } from '../../registry/name.ts'
import { parseTag } from '../../registry/tag.ts'
import { Policies } from '../../signing/policies.ts'
import { wordsOf } from '../../signing/refusal.ts'
import type { RunCommand } from '../command.ts'
import { configOf, Misuse } from '../command-line.ts'

/** Exit code 0: a policy decides; 1: none does, or the configuration has mistakes. */
export const explainSigning: RunCommand = async (line, terminal) => {
  const [text = ''] = line.operands
  const colon = text.indexOf(':')
  const name = parseRepositoryName(colon < 0 ? text : text.slice(0, colon))
  const tag = colon < 0 ? undefined : parseTag(text.slice(colon + 1))
  if (!name.ok || tag?.ok === false) {
    throw new Misuse('--explain-signing needs a repository, or a repository with a tag')
  }
  const { signing } = await configOf(line, terminal)
  const policy = new Policies(signing.policies).governing(name.value)
  if (policy === undefined) {
    terminal.print(`${name.value}: no policy of signing.policies decides`)
    return 1
  }
  const gates = [...policy.gates].join(', ')
  terminal.print(`${name.value}: policy "${policy.name}" (${policy.mode}) at the gates ${gates}`)
  for (const rule of policy.rules) terminal.print(`  ${wordsOf(rule)}`)
  if (tag === undefined) return 0
  const isGoverned = policy.tags(tag.value)
  const said = isGoverned ? 'it governs the tag' : 'it does not govern the tag (see its tags)'
  terminal.print(`${tag.value}: ${said}`)
  return isGoverned ? 0 : 1
}
