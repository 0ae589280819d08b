/**
 * @module Logins in the pages, put together for one server: their cookies, and the file of those that were ended,
 * which the nodes of a mesh share as they share the other files of secrets.
 */
import type { Authenticator } from '../../auth/authenticator.ts'
import type { Verdicts } from '../../auth/login-cache.ts'
import {
  addEndedSession,
  type EndedSession,
  formatRevocations,
  parseRevocations,
  type Revocation,
  Revocations,
} from '../../auth/revocations.ts'
import { changeSecretFile, secretFilePaths } from '../../auth/secret-file.ts'
import { Sessions } from '../../auth/sessions.ts'
import type { TokenService } from '../../auth/token-service.ts'
import type { Config } from '../../config/config.ts'
import { SessionDoor, type SessionDoorOptions } from '../../http/access/session-door.ts'
import type { Logger } from '../../observability/logger.ts'
import { systemClock } from '../../runtime/clock.ts'
import type { LifeCycle } from '../../runtime/life-cycle.ts'
import { followSecrets } from './token-files.ts'

export interface PageLogins {
  readonly sessions: Sessions
  readonly door: SessionDoor
}

export interface PageLoginsParts extends Pick<SessionDoorOptions, 'askerOf' | 'onRefused'> {
  readonly tokens: TokenService
  readonly authenticator: Authenticator
  /** Of cookies alone. */
  readonly verdicts: Verdicts
  readonly logger: Logger
  /** The file is followed until it closes. */
  readonly life: LifeCycle
}

/** Rejects when the file of ended logins cannot be used. */
export async function openPageLogins(config: Config, parts: PageLoginsParts): Promise<PageLogins> {
  const { tokens, authenticator, verdicts, askerOf, onRefused } = parts
  const ended = new Revocations()
  const take = (list: readonly Revocation[]) => {
    ended.take(list)
    verdicts.clear()
  }
  const end = await followEnded(config, parts, take)
  const { loginLifeMs } = config.auth.tokens
  const sessions = new Sessions({ tokens, verdicts, ended, end, loginLifeMs, clock: systemClock })
  return { sessions, door: new SessionDoor({ sessions, authenticator, askerOf, onRefused }) }
}

/** Follows the logins that were ended; resolves with what ends one more. */
async function followEnded(
  { storage }: Config,
  { logger, life }: PageLoginsParts,
  take: (list: readonly Revocation[]) => void,
): Promise<(session: EndedSession) => Promise<void>> {
  const path = secretFilePaths(storage.path).endedSessions
  const onContent = (text: string) => take(parseRevocations(text))
  await followSecrets(path, formatRevocations([]), logger, life, onContent)
  return async (session) => {
    let list: readonly Revocation[] = []
    await changeSecretFile(path, (text) => {
      const before = text === undefined ? [] : parseRevocations(text)
      list = addEndedSession(before, session, systemClock.now())
      return formatRevocations(list)
    })
    // Not only when the file is looked at again: whoever has logged out is out.
    take(list)
  }
}
