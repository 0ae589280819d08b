/**
 * @module What a login costs for a name that nobody has: as much as for one of the users, always the
 * same for the same name. With one fixed cost, a name that costs another would be known to be real.
 */
import { createHmac } from 'node:crypto'
import { nobodysHash } from './bcrypt.ts'
import { costOf, type Users } from './htpasswd.ts'

/** The cost where there are no users. */
const usualCost = 10

/** Numbers below 2^48, which is what six bytes hold. */
const span = 2 ** 48

export class Decoys {
  readonly #secret: string
  /** Hashes by the share of users up to which they count, both rising. */
  readonly #steps: readonly { readonly upTo: number; readonly hash: string }[]

  /** `secret`: of this registry, the same after a restart. */
  constructor(users: Users, secret: string) {
    this.#secret = secret
    const counts = countCosts(users)
    let seen = 0
    this.#steps = [...counts].map(([cost, count]) => {
      seen += count
      return { upTo: seen / users.size, hash: nobodysHash(cost) }
    })
  }

  /** What the password of this unknown name is compared with. */
  hashFor(name: string): string {
    if (this.#steps.length < 2) return this.#steps[0]?.hash ?? nobodysHash(usualCost)
    const digest = createHmac('sha256', this.#secret).update(`decoy ${name}`).digest()
    // A share, not a user's number: one more user moves hardly any name to another cost.
    const share = digest.readUIntBE(0, 6) / span
    return this.#steps.find(({ upTo }) => share < upTo)!.hash
  }
}

/** How many users have which bcrypt cost, the lowest first. */
export function countCosts(users: Users): ReadonlyMap<number, number> {
  const counts = new Map<number, number>()
  for (const hash of users.values()) counts.set(costOf(hash), (counts.get(costOf(hash)) ?? 0) + 1)
  return new Map([...counts].sort(([a], [b]) => a - b))
}

/** What an operator should know of the costs; undefined: nothing. */
export function costWarning(users: Users): string | undefined {
  const costs = [...countCosts(users).keys()]
  return costs.length < 2
    ? undefined
    : `passwords have different bcrypt costs (${costs.join(', ')}): the time of a login shows which cost a user has; set the passwords of the lower costs again`
}
