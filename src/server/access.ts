/**
 * @module Access control, put together for one server: users, tokens, rules, the gate. Nothing of
 * it exists where the configuration has neither users nor rules; one line at start then says that
 * the registry is open.
 */
import { AccessRules } from '../auth/access-rules.ts'
import { Authenticator } from '../auth/authenticator.ts'
import { PasswordQueue } from '../auth/password-queue.ts'
import { Passwords } from '../auth/passwords.ts'
import { Verdicts } from '../auth/verdicts.ts'
import type { Config } from '../config/config.ts'
import { Gate } from '../http/gate.ts'
import type { MaySee } from '../http/handlers/discovery.ts'
import type { MayPull } from '../http/handlers/uploads.ts'
import type { Logger } from '../observability/logger.ts'
import { systemClock } from '../runtime/clock.ts'
import { WorkerPool } from '../runtime/worker-pool.ts'

export interface AccessControl {
  readonly gate: Gate
  readonly rules: AccessRules
  readonly mayPull: MayPull
  readonly maySee: MaySee
  stop(): Promise<void>
}

/** Whether anybody is asked who he is. */
export function isAccessControlled({ auth, access }: Config): boolean {
  return auth.type !== 'none' || access.length > 0 || auth.foreign !== undefined
}

/** Rejects when the users' file cannot be used. */
export async function startAccess(
  config: Config,
  logger: Logger,
): Promise<AccessControl | undefined> {
  if (!isAccessControlled(config)) {
    logger.warn('open mode: whoever reaches this port may pull, push and delete; see auth.type')
    return undefined
  }
  const rules = new AccessRules(config.access)
  const verdicts = new Verdicts(systemClock)
  const users = await startPasswords(config, logger, () => verdicts.clear())
  const authenticator = new Authenticator({
    verdicts,
    passwords: users?.passwords,
    accessTokens: undefined,
    bearer: undefined,
  })
  const gate = new Gate({
    rules,
    authenticator,
    challenges: { challenge: () => 'Basic realm="FastRegistry", charset="UTF-8"' },
    onRefused: () => undefined,
  })
  return {
    gate,
    rules,
    mayPull: ({ caller, remoteAddress }) => {
      return (repository) => gate.may(caller, 'pull', repository, remoteAddress)
    },
    maySee: ({ caller, remoteAddress }) => {
      // A bearer token for the catalog has no scope for the repositories in it.
      const asker = caller.via === 'bearer' ? { ...caller, grant: undefined } : caller
      return (repository) =>
        rules.may(asker, 'pull', repository, remoteAddress) &&
        rules.may(asker, 'list', repository, remoteAddress)
    },
    stop: async () => {
      await users?.stop()
    },
  }
}

async function startPasswords({ auth }: Config, logger: Logger, onChanged: () => void) {
  if (auth.htpasswdFile === undefined) return undefined
  const pool = new WorkerPool({ worker: 'password', threads: 1, tasksPerThread: 1 })
  const queue = new PasswordQueue(() => pool.start({}))
  const passwords = new Passwords({
    file: auth.htpasswdFile,
    groups: new Map(Object.entries(auth.groups)),
    queue,
    clock: systemClock,
    log: logger,
    onChanged,
  })
  const stop = async () => {
    passwords.stop()
    await queue.close()
    await pool.close()
  }
  try {
    await passwords.start()
  } catch (error) {
    await stop()
    throw error
  }
  return { passwords, stop }
}
