/**
 * @module Access control, put together for one server: users, tokens, rules, the gate. Nothing of
 * it exists where the configuration has neither users nor rules; one line at start then says that
 * the registry is open.
 */
import { AccessRules } from '../../auth/access-rules.ts'
import { AccessTokens } from '../../auth/access-tokens.ts'
import { Authenticator } from '../../auth/authenticator.ts'
import { anonymousCaller } from '../../auth/caller.ts'
import { ForeignTokens, keyTimes } from '../../auth/foreign-tokens.ts'
import { Verdicts } from '../../auth/login-cache.ts'
import { PasswordQueue } from '../../auth/password-queue.ts'
import { Passwords, type PasswordsOptions, type SharedLogins } from '../../auth/passwords.ts'
import { Revocations } from '../../auth/revocations.ts'
import { TokenService } from '../../auth/token-service.ts'
import type { Config } from '../../config/config.ts'
import { Challenges } from '../../http/access/challenges.ts'
import { Gate, type GateOptions } from '../../http/access/gate.ts'
import type { MaySee } from '../../http/handlers/discovery.ts'
import { TokenHandlers, type TokenHandlersOptions } from '../../http/handlers/token.ts'
import type { SourceRightsOf } from '../../http/handlers/uploads.ts'
import type { RequestLimits } from '../../http/request-limits.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import type { Logger } from '../../observability/logger.ts'
import { systemClock } from '../../runtime/clock.ts'
import type { LifeCycle } from '../../runtime/life-cycle.ts'
import { WorkerPool } from '../../runtime/worker-pool.ts'
import { type Audit, refusalRecord } from '../audit.ts'
import { openPageLogins, type PageLogins } from './page-logins.ts'
import {
  followAccessTokens,
  followForeignKeys,
  followKeys,
  followRevocations,
} from './token-files.ts'

export interface AccessControl {
  readonly gate: Gate
  readonly tokenHandlers: TokenHandlers
  /** Logins in the pages. */
  readonly sessions: PageLogins['door']
  readonly sourceRights: SourceRightsOf
  readonly maySee: MaySee
  /** Whether everybody may pull it, from everywhere. */
  readonly isForAll: (repository: string) => boolean
}

/** In nobody's network (RFC 5737). */
const anywhere = { remoteAddress: '192.0.2.1' }

/** What access control works with. */
export interface AccessParts {
  readonly metadata: MetadataReader
  readonly limits: RequestLimits | undefined
  readonly audit: Audit | undefined
  readonly logger: Logger
  /** Of a mesh: tokens of one node are for all of its nodes. Undefined: one node alone. */
  readonly cluster?: string | undefined
  /** The same: failed logins at one node count at all. */
  readonly logins?: SharedLogins | undefined
  /** Everything that is opened here is closed with it. */
  readonly life: LifeCycle
}

/** Rejects when a file that it needs cannot be used. */
export async function startAccess(
  config: Config,
  { metadata, limits, audit, logger, cluster, logins, life }: AccessParts,
): Promise<AccessControl> {
  const { auth } = config
  const rules = new AccessRules(config.access)
  const verdicts = new Verdicts(systemClock)
  const cookieVerdicts = new Verdicts(systemClock)
  const forget = () => {
    verdicts.clear()
    cookieVerdicts.clear()
  }
  const keys = await followKeys(config, systemClock, logger, life, (newer) => {
    tokens.take(newer)
    forget()
  })
  const told = { secret: keys.secret, onChanged: forget, logins }
  const users = await startPasswords(config, logger, told, life)
  const foreign = await startForeign(config, logger, forget, life)
  const accessTokens = new AccessTokens({
    clock: systemClock,
    callerOf: (name) =>
      users?.has(name) === true ? users.callerOf(name, 'access-token') : undefined,
  })
  await followAccessTokens(config, logger, life, accessTokens, forget)
  const revocations = new Revocations()
  await followRevocations(config, logger, life, revocations, forget)
  const service = auth.tokens.service ?? hostOf(auth.tokens.realm) ?? cluster
  const tokens = new TokenService(
    {
      rules,
      users,
      accessTokens,
      revocations,
      foreign,
      clock: systemClock,
      ...auth.tokens,
      service,
    },
    keys,
  )
  const authenticator = new Authenticator({
    verdicts,
    passwords: users,
    accessTokens,
    bearer: tokens,
  })
  const pages = await openPageLogins(config, {
    ...{ tokens, authenticator, logger, life },
    verdicts: cookieVerdicts,
    askerOf: (request) => gate.asker(request),
    onRefused: (...of) => onLoginRefused(...of),
  })
  const challenges = new Challenges({
    isBearer: asksForBearer(config),
    realm: auth.tokens.realm,
    service,
  })
  const isUser = (name: string) => users?.has(name) === true
  const gate = new Gate({
    rules,
    authenticator,
    sessions: pages.sessions,
    challenges,
    onRefused: (request, refusal) => {
      audit?.write(refusalRecord(request, refusal, isUser))
    },
    limitUser: (request) => limits?.takeUser(request),
    uploadStartedAt: uploadsIn(metadata),
    now: systemClock.now,
  })
  const onLoginRefused: TokenHandlersOptions['onRefused'] = (request, claimedUser, reason) => {
    const { caller } = request
    const refusal = { caller, claimedUser, reason, need: undefined, rule: undefined }
    audit?.write(refusalRecord(request, refusal, isUser))
  }
  return {
    gate,
    tokenHandlers: new TokenHandlers({
      tokens,
      authenticator,
      serviceOf: (request) => challenges.serviceOf(request),
      onRefused: onLoginRefused,
    }),
    sessions: pages.door,
    sourceRights: (request) => gate.sourceRights(request),
    isForAll: (repository) => rules.may(anonymousCaller, 'pull', repository, anywhere),
    maySee: ({ caller, remoteAddress }) => {
      // A bearer token for the catalog has no scope for the repositories in it; what an access
      // token behind it was limited to holds all the same.
      const asker = caller.via === 'bearer' ? { ...caller, grant: caller.bounds } : caller
      const from = { remoteAddress }
      return (repository) =>
        rules.may(asker, 'pull', repository, from) && rules.may(asker, 'list', repository, from)
    },
  }
}

/** `auto`: bearer where clients could not combine open pulls with closed pushes otherwise. */
function asksForBearer({ auth: { tokens, foreign }, access }: Config): boolean {
  if (tokens.challenge !== 'auto') return tokens.challenge === 'bearer'
  const isForAnonymous = access.some(({ anonymous }) => anonymous === true)
  return tokens.realm !== undefined || isForAnonymous || foreign !== undefined
}

function hostOf(realm: string | undefined): string | undefined {
  return realm === undefined ? undefined : new URL(realm).host
}

/** When an open upload session of a user began. */
function uploadsIn(metadata: MetadataReader): GateOptions['uploadStartedAt'] {
  return (repository, id, user) => {
    const row = metadata.get('uploads', id)
    if (row?.repository !== repository) return undefined
    return row.owner === undefined || row.owner === user ? row.startedAt : undefined
  }
}

async function startPasswords(
  { auth }: Config,
  logger: Logger,
  { logins, ...told }: Pick<PasswordsOptions, 'secret' | 'onChanged'> & Pick<AccessParts, 'logins'>,
  life: LifeCycle,
): Promise<Passwords | undefined> {
  if (auth.htpasswdFile === undefined) return undefined
  const pool = new WorkerPool({ worker: 'password', threads: 1, tasksPerThread: 1 })
  life.opened('password threads', pool, (one) => one.close())
  // Closed first: its task would start again in a pool that is gone.
  const queue = new PasswordQueue(() => pool.start({}), systemClock)
  life.opened('password queue', queue, (one) => one.close())
  const passwords = new Passwords({
    file: auth.htpasswdFile,
    groups: new Map(Object.entries(auth.groups)),
    queue,
    clock: systemClock,
    ...told,
    log: logger,
    ...(logins !== undefined && { onJudged: logins.tell }),
  })
  life.opened('users', passwords, (one) => one.stop())
  await passwords.start()
  logins?.hear((news, count) => passwords.takeJudged(news, count))
  return passwords
}

async function startForeign(
  { auth: { foreign: settings } }: Config,
  logger: Logger,
  onChanged: () => void,
  life: LifeCycle,
): Promise<ForeignTokens | undefined> {
  if (settings === undefined) return undefined
  const url = /^https?:\/\//i.test(settings.jwks) ? settings.jwks : undefined
  const onState = (problem: Error | undefined) => {
    if (problem === undefined) logger.info({ url }, 'keys of the token issuer fetched again')
    else logger.error({ url, error: problem }, 'keys of the token issuer cannot be fetched')
  }
  const remote = url === undefined ? undefined : { url, ...keyTimes, onState }
  const foreign = new ForeignTokens(settings, remote)
  if (url === undefined) {
    await followForeignKeys(settings.jwks, logger, life, foreign, onChanged)
  }
  return foreign
}
