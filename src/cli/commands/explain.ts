/**
 * @module `fastregistry check-config --explain USER ACTION REPOSITORY`: which access rule decides,
 * told by the code that decides in the server.
 */
import { AccessRules } from '../../auth/access-rules.ts'
import { ACTIONS, anonymousCaller, type Caller } from '../../auth/caller.ts'
import type { Config } from '../../config/config.ts'
import { parseRepositoryName } from '../../registry/name.ts'
import { configOf, misused, readCommandLine } from '../command-line.ts'
import type { Terminal } from '../terminal.ts'

const USAGE = `Usage: fastregistry check-config [FILE] --explain USER ACTION REPOSITORY [--from ADDRESS]
USER may be "anonymous"; ACTION is pull, push, delete, list or admin.`

/** Exit code 0: allowed; 1: refused (or the configuration has mistakes). */
export async function explain(args: readonly string[], terminal: Terminal): Promise<number> {
  const at = args.findIndex((one) => /^--?explain$/.test(one))
  const line = readCommandLine([...args.slice(0, at), ...args.slice(at + 1)], ['from'])
  if (!line.ok) return misused(terminal, line.error, USAGE)
  const { words, flags } = line.value
  const file = words.length === 4 ? (at === 0 ? words[3] : words[0]) : undefined
  const question = words.length === 4 && at !== 0 ? words.slice(1) : words.slice(0, 3)
  const [user = '', actionText = '', resource = ''] = question
  const action = ACTIONS.find((one) => one === actionText)
  const isResource = resource.startsWith('/') || parseRepositoryName(resource).ok
  if (words.length < 3 || words.length > 4 || action === undefined || !isResource) {
    return misused(terminal, '--explain needs a user, an action and a repository', USAGE)
  }
  const named =
    file === undefined ? line.value : { words, flags: new Map([...flags, ['config', [file]]]) }
  const config = await configOf(named, terminal)
  if (config === undefined) return 1
  if (config.auth.type === 'none' && config.access.length === 0 && !config.auth.foreign) {
    terminal.print('allowed: there is no access control (auth.type is none, access is empty)')
    return 0
  }
  const rules = new AccessRules(config.access)
  const caller = callerOf(user, config)
  const from = { remoteAddress: flags.get('from')?.at(-1) ?? '' }
  const decision = rules.decide(caller, action, resource, from)
  terminal.print(`${user} ${action} ${resource}: ${describe(decision, config)}`)
  return decision.isAllowed ? 0 : 1
}

function callerOf(name: string, { auth }: Config): Caller {
  if (name === 'anonymous') return anonymousCaller
  const groups = Object.entries(auth.groups).filter(([, members]) => members.includes(name))
  return {
    kind: 'user',
    name,
    groups: groups.map(([group]) => group),
    via: 'none',
    grant: undefined,
  }
}

function describe(decision: ReturnType<AccessRules['decide']>, { access }: Config): string {
  const verdict = decision.isAllowed ? 'allowed' : 'refused'
  if (decision.rule === undefined) return `${verdict}, no rule matches`
  if (decision.rule === 0) return `${verdict} by the built-in rule (users may do everything)`
  const rule = access[decision.rule - 1]!
  return `${verdict} by rule ${decision.rule} of access (${JSON.stringify(rule)})`
}
