/**
 * @module The secrets of the token service below `storage.path`, and the files that it follows:
 * signing keys (made at first start, replaced when old), access tokens of the command line, the
 * JWKS file of a foreign issuer.
 */
import type { AccessTokens } from '../../auth/access-tokens.ts'
import { formatAccessTokens, parseAccessTokens } from '../../auth/access-tokens.ts'
import type { ForeignTokens } from '../../auth/foreign-tokens.ts'
import { formatRevocations, parseRevocations, type Revocations } from '../../auth/revocations.ts'
import { changeSecretFile, secretFilePaths } from '../../auth/secret-file.ts'
import { sessionLifeMs } from '../../auth/sessions.ts'
import {
  formatKeyFile,
  newestKeyAt,
  newKeyFile,
  parseKeyFile,
  rotateKeys,
  TokenKeys,
} from '../../auth/token-keys.ts'
import type { Config } from '../../config/config.ts'
import type { Logger } from '../../observability/logger.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { LifeCycle } from '../../runtime/life-cycle.ts'
import { WatchedFile } from '../../runtime/watched-file.ts'

/** How often the age of the newest key is looked at, ms. */
const keyAgeEveryMs = 10 * 60_000

/** Longest that a token signed by a replaced key is of use. */
export function tokenLifeMs({ auth: { tokens } }: Config): number {
  return Math.max(tokens.ttlMs, tokens.refreshTtlMs, sessionLifeMs)
}

/** Makes the key file where it is missing, and replaces a key that is too old. */
async function keepKeys(config: Config, clock: Pick<Clock, 'now'>): Promise<void> {
  const { keys } = secretFilePaths(config.storage.path)
  await changeSecretFile(keys, async (text) => {
    const now = clock.now()
    if (text === undefined) return formatKeyFile(await newKeyFile(now))
    const file = parseKeyFile(text)
    const isOld = now - newestKeyAt(file) > config.auth.tokens.keyLifeMs
    return isOld ? formatKeyFile(await rotateKeys(file, now, tokenLifeMs(config))) : undefined
  })
}

/** Follows the key file; resolves with the keys of now. `onKeys` gets every later state. */
export async function followKeys(
  config: Config,
  clock: Pick<Clock, 'now'>,
  logger: Logger,
  life: LifeCycle,
  onKeys: (keys: TokenKeys) => void,
): Promise<TokenKeys> {
  const path = secretFilePaths(config.storage.path).keys
  const { issuer } = config.auth.tokens
  const onProblem = (error: unknown) =>
    logger.error({ file: path, error }, 'the signing keys cannot be used; those in use stay')
  await keepKeys(config, clock)
  let first: Promise<TokenKeys> | undefined
  const watched = new WatchedFile({
    path,
    onContent: (text) => {
      const loading = TokenKeys.from(parseKeyFile(text), issuer)
      if (first === undefined) {
        first = loading
        return
      }
      loading.then((keys) => {
        onKeys(keys)
        logger.info({ keys: keys.jwks.keys.length }, 'signing keys read again')
      }, onProblem)
    },
    onProblem,
  })
  life.opened('signing keys', watched, (one) => one.stop())
  await watched.start()
  const timer = setInterval(() => keepKeys(config, clock).catch(onProblem), keyAgeEveryMs)
  timer.unref()
  life.opened('age of keys', timer, clearInterval)
  return first!
}

/** Follows the access tokens that the command line makes. */
export async function followAccessTokens(
  config: Config,
  logger: Logger,
  life: LifeCycle,
  tokens: AccessTokens,
  onChanged: () => void,
): Promise<void> {
  const path = secretFilePaths(config.storage.path).accessTokens
  return followSecrets(path, formatAccessTokens([]), logger, life, (text) => {
    tokens.take(parseAccessTokens(text))
    onChanged()
  })
}

/** Follows the logins that the command line takes back. */
export async function followRevocations(
  config: Config,
  logger: Logger,
  life: LifeCycle,
  revocations: Revocations,
  onChanged: () => void,
): Promise<void> {
  const path = secretFilePaths(config.storage.path).revocations
  return followSecrets(path, formatRevocations([]), logger, life, (text) => {
    revocations.take(parseRevocations(text))
    onChanged()
  })
}

/** Follows a file of secrets, which is made where it is missing. Rejects with what to do. */
export async function followSecrets(
  path: string,
  empty: string,
  logger: Logger,
  life: LifeCycle,
  onContent: (text: string) => void,
): Promise<void> {
  await changeSecretFile(path, (text) => (text === undefined ? empty : undefined))
  const watched = new WatchedFile({
    path,
    onContent,
    onProblem: (error) =>
      logger.error({ file: path, reason: error.message }, 'not read again; what it said holds'),
  })
  life.opened(path, watched, (one) => one.stop())
  await watched.start()
}

/** Follows the JWKS file of a foreign issuer, where it is a file. */
export async function followForeignKeys(
  path: string,
  logger: Logger,
  life: LifeCycle,
  foreign: ForeignTokens,
  onChanged: () => void,
): Promise<void> {
  const watched = new WatchedFile({
    path,
    onContent: (text) => {
      foreign.take(text)
      onChanged()
    },
    onProblem: (error) =>
      logger.error({ file: path, reason: error.message }, 'foreign keys not read again'),
  })
  life.opened(path, watched, (one) => one.stop())
  await watched.start().catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`auth.foreign.jwks ${path} cannot be used: ${reason}`)
  })
}
