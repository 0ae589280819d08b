/**
 * @module `fastregistry check-config --explain USER ACTION REPOSITORY`: which access rule decides,
 * reported by the code that decides in the server.
 */
import { AccessRules } from '../../auth/access-rules.ts'
import { ACTIONS, anonymousCaller, type Caller } from '../../auth/caller.ts'
import type { Config } from '../../config/config.ts'
import { parseRepositoryName } from '../../registry/name.ts'
import type { RunCommand } from '../command.ts'
import { configOf, Misuse } from '../command-line.ts'

/** Exit code 0: allowed; 1: refused, or the configuration has mistakes. */
export const explain: RunCommand = async (line, terminal) => {
  const [user = '', actionText = '', resource = ''] = line.operands
  const action = ACTIONS.find((one) => one === actionText)
  const isResource = resource.startsWith('/') || parseRepositoryName(resource).ok
  if (action === undefined || !isResource) {
    throw new Misuse('--explain needs a user, an action and a repository')
  }
  const config = await configOf(line, terminal)
  if (config.auth.type === 'none' && config.access.length === 0 && !config.auth.foreign) {
    terminal.print('allowed: there is no access control (auth.type is none, access is empty)')
    return 0
  }
  const rules = new AccessRules(config.access)
  const caller = callerOf(user, config)
  const from = { remoteAddress: line.text('from') ?? '' }
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
