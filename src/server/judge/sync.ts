/**
 * @module Judges the sources of a synchronisation: the files that they name, and the local names that are
 * known before anything is listed. None may lie in a mirror, and none may belong to two repositories.
 */
import type { Config, SyncSourceConfig } from '../../config/config.ts'
import { isLiteral, literalComponents } from '../../registry/literal.ts'
import { mapName, NameOwners } from '../../sync/selection/names.ts'
import { RepositorySelection } from '../../sync/selection/repositories.ts'
import type { Finding } from './finding.ts'
import { authorityFileProblem, secretFileProblem } from './mirrors.ts'

type Path = readonly (string | number)[]

export async function judgeSync({ sync, mirrors }: Config): Promise<readonly Finding[]> {
  const files = await Promise.all(sync.sources.map(judgeFiles))
  const names = new Set(mirrors.map(({ name }) => name))
  return [
    ...files.flat(),
    ...sync.sources.flatMap((source, index) => judgePlace(source, index, names)),
    ...judgeNames(sync.sources),
  ]
}

function finding(path: Path, message: string): Finding {
  return { key: 'sync.sources', path, message }
}

async function judgeFiles(source: SyncSourceConfig, index: number): Promise<readonly Finding[]> {
  const { caFile, token, account, hookSecretFile } = source
  const secrets: readonly (readonly [string, string | undefined])[] = [
    ['token_file', token?.kind === 'file' ? token.value : undefined],
    [
      account?.isRobot === true ? 'robot_token_file' : 'password_file',
      account?.secret.kind === 'file' ? account.secret.value : undefined,
    ],
    ['hook_secret_file', hookSecretFile],
  ]
  const problems = await Promise.all([
    caFile === undefined ? undefined : authorityFileProblem(caFile),
    ...secrets.map(([, path]) => (path === undefined ? undefined : secretFileProblem(path))),
  ])
  return ['ca', ...secrets.map(([key]) => key)].flatMap((key, at) => {
    const problem = problems[at]
    return problem === undefined ? [] : [finding([index, key], problem)]
  })
}

/** A mirror's repositories come and go by its own rules, so nothing else is written there. */
function judgePlace(
  source: SyncSourceConfig,
  index: number,
  mirrors: ReadonlySet<string>,
): readonly Finding[] {
  for (const { path, name } of placesOf(source)) {
    const [first = ''] = name.split('/')
    if (mirrors.has(first)) {
      return [
        finding([index, ...path], `${name} lies in the mirror ${first}; choose a destination`),
      ]
    }
  }
  return []
}

/** Where its repositories lie, as far as that is known: an invented one for each that is not. */
function placesOf(source: SyncSourceConfig): readonly { path: Path; name: string }[] {
  if (source.destination !== '') return [{ path: ['destination'], name: source.destination }]
  const heads = [
    ...source.organizations.map((one, at) => ({ path: ['organizations', at], upstream: one })),
    ...source.repositories.map((one, at) => ({
      path: ['repositories', at],
      upstream: literalComponents(one).join('/'),
    })),
  ]
  return heads.flatMap(({ path, upstream }) => {
    const mapped = mapName(source, `${upstream}/${inventedName}`)
    const isKnown = mapped.kind === 'local' && mapped.name.includes('/')
    return isKnown ? [{ path, name: mapped.name.slice(0, -inventedName.length - 1) }] : []
  })
}

const inventedName = 'x'

/** Repositories that are named in full, and lie where another one does or nowhere. */
function judgeNames(sources: readonly SyncSourceConfig[]): readonly Finding[] {
  const owners = new NameOwners(sources.map(({ name }) => name))
  const found: Finding[] = []
  for (const [index, source] of sources.entries()) {
    const selection = new RepositorySelection(source)
    for (const [at, repository] of source.repositories.entries()) {
      if (!isLiteral(repository) || !selection.isSelected(repository)) continue
      const path = [index, 'repositories', at]
      const mapped = mapName(source, repository)
      if (mapped.kind === 'bad-name') {
        found.push(finding(path, mapped.message))
        continue
      }
      const claim = owners.claim(mapped.name, { source: source.name, repository })
      if (claim.kind === 'owned') continue
      const { owner } = claim
      const message = `${repository} would be ${mapped.name} here, which ${owner.repository} of the source ${owner.source} is`
      found.push(finding(path, message))
    }
  }
  return found
}
