/**
 * @module The rules of `access:`: may this caller do this to that repository, from there? The first
 * rule that matches decides, and refuses what its actions lack; no match is a refusal.
 *
 * Rules that name the caller (`users`, `groups`) are looked at first; where none of them matches,
 * those for `anonymous` count for everybody: whoever logs in must not lose what he has without.
 */
import type { Right } from './asker.ts'
import { ACTIONS, type Action, type Caller, type Origin } from './caller.ts'
import { Networks } from './networks.ts'
import { RepositoryPattern, userWord } from './repository-pattern.ts'

/** One entry of `access:`, checked. */
export interface RuleSettings {
  readonly repositories: readonly string[]
  readonly users?: readonly string[]
  readonly groups?: readonly string[]
  readonly anonymous?: boolean
  readonly networks?: readonly string[]
  readonly actions: readonly Action[]
}

export interface Decision {
  readonly isAllowed: boolean
  /** Number of the deciding rule, from 1; 0: the built-in one; undefined: none matched. */
  readonly rule: number | undefined
}

interface Rule {
  readonly number: number
  readonly patterns: readonly RepositoryPattern[]
  /** As they were written. */
  readonly texts: readonly string[]
  readonly coversEverything: boolean
  /** Undefined: every user. */
  readonly users: ReadonlySet<string> | undefined
  readonly groups: readonly string[]
  readonly isForAnonymous: boolean
  readonly isForUsers: boolean
  readonly networks: Networks | undefined
  readonly actions: ReadonlySet<Action>
}

/** Without rules: whoever has logged in may do everything, nobody else anything. */
const BUILT_IN: RuleSettings = { repositories: ['**'], users: ['*'], actions: ACTIONS }

const NO_MATCH: Decision = { isAllowed: false, rule: undefined }

/** Decisions remembered for one caller and action, while no rule asks for the network. */
const decisionsMax = 1_000

type Decisions = Readonly<Record<Action, Map<string, Decision>>>

export class AccessRules {
  readonly #rules: readonly Rule[]
  readonly #hasNetworks: boolean
  readonly #decisions = new WeakMap<Caller, Decisions>()

  constructor(settings: readonly RuleSettings[]) {
    const isBuiltIn = settings.length === 0
    this.#rules = (isBuiltIn ? [BUILT_IN] : settings).map((rule, index) =>
      compileRule(rule, isBuiltIn ? 0 : index + 1),
    )
    this.#hasNetworks = this.#rules.some(({ networks }) => networks !== undefined)
  }

  /**
   * `resource` is a repository, `/admin` or `/metrics`. The grant of the credentials is not looked
   * at: see `may`.
   */
  decide(caller: Caller, action: Action, resource: string, from: Origin): Decision {
    if (this.#hasNetworks) return this.#decide(caller, action, resource, from)
    const decisions = this.#decisionsOf(caller)[action]
    let decision = decisions.get(resource)
    if (decision === undefined) {
      if (decisions.size >= decisionsMax) decisions.clear()
      decision = this.#decide(caller, action, resource, from)
      decisions.set(resource, decision)
    }
    return decision
  }

  #decisionsOf(caller: Caller): Decisions {
    let decisions = this.#decisions.get(caller)
    if (decisions === undefined) {
      decisions = {
        pull: new Map(),
        push: new Map(),
        sign: new Map(),
        delete: new Map(),
        list: new Map(),
        admin: new Map(),
      }
      this.#decisions.set(caller, decisions)
    }
    return decisions
  }

  /** Whether the caller may, by the rules and by what its credentials are limited to. */
  may(caller: Caller, action: Action, resource: string, from: Origin): boolean {
    if (caller.grant?.allows(action, resource) === false) return false
    return this.decide(caller, action, resource, from).isAllowed
  }

  /** Whether there is any repository at all on which the caller has the action. */
  mayAnywhere(caller: Caller, action: Action, from: Origin): boolean {
    return this.#rules.some(
      (rule) =>
        rule.actions.has(action) &&
        (isNamed(rule, caller) || rule.isForAnonymous) &&
        isInNetwork(rule, from),
    )
  }

  /** The rules that may decide for this caller, in the order in which they are asked. */
  describe(caller: Caller, from: Origin): Right[] {
    const here = this.#rules.filter((rule) => isInNetwork(rule, from))
    const named = here.filter((rule) => isNamed(rule, caller))
    const others = here.filter((rule) => rule.isForAnonymous && !named.includes(rule))
    return [...named, ...others].map(({ texts, actions }) => ({
      repositories: texts.map((text) => text.replaceAll(userWord, () => caller.name)),
      actions: [...actions],
    }))
  }

  #decide(caller: Caller, action: Action, resource: string, from: Origin): Decision {
    const matches = (rule: Rule) =>
      covers(rule, action, resource, caller.name) && isInNetwork(rule, from)
    const rule =
      this.#rules.find((one) => isNamed(one, caller) && matches(one)) ??
      this.#rules.find((one) => one.isForAnonymous && matches(one))
    return rule === undefined
      ? NO_MATCH
      : { isAllowed: rule.actions.has(action), rule: rule.number }
  }
}

function compileRule(rule: RuleSettings, number: number): Rule {
  const { users, groups, networks } = rule
  const isForAnonymous = rule.anonymous === true
  const namesNobody = users === undefined && groups === undefined
  return {
    number,
    patterns: rule.repositories.map((text) => new RepositoryPattern(text)),
    texts: rule.repositories,
    coversEverything: rule.repositories.includes('**'),
    users: users?.includes('*') === true || namesNobody ? undefined : new Set(users),
    groups: groups ?? [],
    isForAnonymous,
    isForUsers: !namesNobody || !isForAnonymous,
    networks: networks === undefined ? undefined : new Networks(networks),
    actions: new Set(rule.actions),
  }
}

function isNamed(rule: Rule, caller: Caller): boolean {
  if (caller.kind === 'anonymous' || !rule.isForUsers) return false
  if (rule.users === undefined || rule.users.has(caller.name)) return true
  return rule.groups.some((group) => caller.groups.includes(group))
}

/** The server's own paths need a rule that names them, or one over everything that gives `admin`. */
function covers(rule: Rule, action: Action, resource: string, user: string): boolean {
  if (rule.patterns.some((pattern) => pattern.matches(resource, user))) return true
  return resource.startsWith('/') && action === 'admin' && rule.coversEverything
}

function isInNetwork(rule: Rule, from: Origin): boolean {
  return rule.networks === undefined || rule.networks.includes(from.remoteAddress)
}
