/**
 * @module Who asks the admin API, and what he may: the answers of the gate without the gate. Each
 * endpoint names what it needs; lists leave out what the asker may not see.
 */
import { RegistryError } from '../registry/errors.ts'
import type { Action, SessionFacts } from './caller.ts'

/** Actions on what matches any of these patterns. */
export interface Right {
  readonly repositories: readonly string[]
  readonly actions: readonly Action[]
}

/** What `/admin/session` says. */
export interface AskerFacts {
  /** `open`: access control is off. */
  readonly kind: 'open' | 'anonymous' | 'user'
  readonly name: string
  readonly groups: readonly string[]
  readonly via: string
  /** By the rules, in the order in which they are asked: the first that matches decides. */
  readonly rights: readonly Right[]
  /** What the credentials are limited to beyond that; undefined: nothing. */
  readonly limits: readonly Right[] | undefined
  /** Undefined: it is no login in the pages. */
  readonly session?: SessionFacts | undefined
}

export interface Asker {
  /** May do everything on `/admin`, and so see every repository there. */
  readonly isAdmin: boolean
  /** A browser says by itself who asks, whatever page made it ask. */
  readonly isByCookie: boolean
  may(action: Action, repository: string): boolean
  /** Whether there may be any repository at all on which the asker has one of these. */
  mayAnywhere(actions: readonly Action[]): boolean
  /** Books the refusal and throws it; `repository` undefined: what was needed is `admin`. */
  refuse(action: Action, repository: string | undefined): never
  describe(): AskerFacts
  /**
   * Asks once more who it is, for answers that last: resolves to what the credentials are good for
   * now, rejects when they are good for nothing any more.
   */
  renew(): Promise<Asker>
}

/** Everybody, where access control is off. */
export const openAsker: Asker = {
  isAdmin: true,
  isByCookie: false,
  may: () => true,
  mayAnywhere: () => true,
  refuse: () => {
    throw new Error('nothing is refused where access control is off')
  },
  describe: () => ({
    kind: 'open',
    name: '',
    groups: [],
    via: 'none',
    rights: [
      { repositories: ['**'], actions: ['pull', 'push', 'sign', 'delete', 'list', 'admin'] },
    ],
    limits: undefined,
  }),
  renew: async () => openAsker,
}

/** Who brings no login, and may nothing by rules: what he asks for judges a secret of its own. */
export const nobodyAsker: Asker = {
  isAdmin: false,
  isByCookie: false,
  may: () => false,
  mayAnywhere: () => false,
  refuse: () => {
    throw new RegistryError('UNAUTHORIZED', { facts: { challenge: 'Bearer' } })
  },
  describe: () => ({
    kind: 'anonymous',
    name: '',
    groups: [],
    via: 'none',
    rights: [],
    limits: undefined,
  }),
  renew: async () => nobodyAsker,
}
