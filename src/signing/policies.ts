/**
 * @module The policies of signatures: which one governs a repository, and what it requires.
 */
import type { SigningPolicyConfig } from '../config/config.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { anyPattern, type Pattern } from '../registry/pattern.ts'
import type { Rule } from './verdicts/policy.ts'

export type Gate = 'tag' | 'copy' | 'pull' | 'mirror'

/** Whom and what the gates of pulls let pass. */
export interface Exempt {
  /** Whoever may push to the repository, by the access rules. */
  readonly pushers: boolean
  readonly users: ReadonlySet<string>
  readonly groups: ReadonlySet<string>
  readonly digests: ReadonlySet<Digest>
}

export interface Policy {
  readonly name: string
  /** `audit` notes what would be refused, `warn` tells the client as well, `enforce` refuses. */
  readonly mode: 'audit' | 'warn' | 'enforce'
  readonly gates: ReadonlySet<Gate>
  /** Tags that it governs. */
  readonly tags: Pattern
  readonly exempt: Exempt
  /** How long after its push an image may be pulled unverified, ms. */
  readonly graceMs: number
  /** All of them. */
  readonly rules: readonly Rule[]
  /** Whether an index is verified when every image that it lists is. */
  readonly takesChildren: boolean
  /** Whether the signature of its provenance in an index counts for an image. */
  readonly takesProvenance: boolean
  /** Whether a signature has to name the tag that moves, at the gates tag and copy. */
  readonly bindsTags: boolean
  /** Whether a tag never moves to what was signed before the image that it points at. */
  readonly isNotOlder: boolean
  /** Whether the registry signs as well what is verified. */
  readonly countersign: boolean
}

export class Policies {
  readonly #policies: readonly { readonly repositories: Pattern; readonly policy: Policy }[]

  constructor(policies: readonly SigningPolicyConfig[]) {
    this.#policies = policies.map(({ repositories, tags, gates, exempt, ...rest }) => ({
      repositories: anyPattern(repositories),
      policy: {
        ...rest,
        gates: new Set(gates),
        tags: anyPattern(tags),
        exempt: {
          pushers: exempt.pushers,
          users: new Set(exempt.users),
          groups: new Set(exempt.groups),
          digests: new Set(exempt.digests),
        },
      },
    }))
  }

  /** Undefined: there is none of this name. */
  named(name: string): Policy | undefined {
    return this.#policies.find(({ policy }) => policy.name === name)?.policy
  }

  /** The first whose repositories fit; undefined: the repository is governed by none. */
  governing(repository: RepositoryName): Policy | undefined {
    return this.#policies.find(({ repositories }) => repositories(repository))?.policy
  }
}
