/**
 * @module `/admin/sync/hook/{source}`: another registry says that something was pushed there. No login, but the
 * secret of the source. What the body says is a hint, never data.
 */
import * as v from 'valibot'
import { LoginPutOff } from '../../auth/login-delay.ts'
import { clientKey, networkKey, networkShare } from '../../runtime/client-key.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Throttle } from '../../runtime/throttle.ts'
import { readHookBody } from '../../sync/hook-body.ts'
import type { Syncs } from '../../sync/syncs.ts'
import { type Endpoint, endpoint, Reply } from '../endpoint.ts'
import { AdminProblem, badRequest, notFound } from '../problem.ts'

/** Largest body, bytes. */
export const hookBytesMax = 256 * 1024

/** Longest secret that is compared, characters. */
const secretMax = 1_024

/** Wrong secrets of one client, as failed logins of one user. */
const failures = {
  burst: 20,
  perSecond: 0.5,
  keysMax: 10_000,
  slows: { every: 20, secondsMax: 300 },
}

export function hookEndpoint(syncs: Syncs | undefined, clock: Pick<Clock, 'monotonic'>): Endpoint {
  const turns = new HookTurns(clock)
  return endpoint({
    method: 'POST',
    path: '/admin/sync/hook/{source}',
    need: 'secret',
    group: 'synchronisation',
    summary:
      'reports to a source that upstream has changed: bodies of Quay, Harbor, Docker Hub and Distribution, or {repository, tag}; the secret as Authorization: Bearer, or as secret=',
    params: v.object({ source: v.string() }),
    query: v.strictObject({ secret: v.optional(v.string()) }),
    body: v.record(v.string(), v.unknown()),
    foreignBody: { bytesMax: hookBytesMax },
    answer: v.object({ message: v.string(), changes: v.number() }),
    admit: async ({ params: { source }, query }, { actor, bearer }) => {
      if (syncs === undefined) throw notFound('sync not configured')
      turns.require(actor)
      const given = bearer ?? query.secret ?? ''
      const secret = given.length > secretMax ? '' : given
      const isRight = await syncs.isHookSecret(source, secret)
      if (isRight === true && secret !== '') return
      turns.failed(actor)
      // A source without hooks is told apart from one with a wrong secret, and not from no source at all.
      if (isRight === undefined) throw notFound('job not found')
      const challenge = 'Bearer realm="sync hook"'
      throw new AdminProblem('ADMIN_HOOK_SECRET', { facts: { challenge } })
    },
    handle: ({ params: { source }, body }) => {
      const changes = readHookBody(body)
      if (changes === undefined) {
        throw badRequest(
          'body: expected that of Quay, Harbor, Docker Hub or Distribution, or {"repository": "…", "tag": "…"}',
        )
      }
      if (changes.length > 0) syncs?.hint(source, changes)
      return new Reply(202, { message: 'noted', changes: changes.length })
    },
  })
}

/** Whoever sends wrong secrets waits longer and longer, as one whose logins fail. */
class HookTurns {
  readonly #clients: Throttle
  readonly #networks: Throttle

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clients = new Throttle({ ...failures, clock })
    const { burst, perSecond } = failures
    const shared = { burst: burst * networkShare, perSecond: perSecond * networkShare }
    this.#networks = new Throttle({ ...failures, ...shared, clock })
  }

  require(address: string): void {
    let wait = 0
    for (const [throttle, key] of this.#of(address)) {
      wait = Math.max(wait, throttle.waitSeconds(key))
    }
    if (wait === 0) return
    const message = 'too many wrong secrets from this address; try again later'
    throw new LoginPutOff('throttled', message, Math.ceil(wait))
  }

  failed(address: string): void {
    for (const [throttle, key] of this.#of(address)) throttle.spend(key)
  }

  *#of(address: string): Generator<readonly [Throttle, string]> {
    const client = clientKey(address)
    yield [this.#clients, client]
    const network = networkKey(client)
    if (network !== undefined) yield [this.#networks, network]
  }
}
