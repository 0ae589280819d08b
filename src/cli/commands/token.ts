/**
 * @module `fastregistry token create|list|revoke|rotate-keys`: access tokens for machines, and the
 * key that signs bearer tokens. Works beside a running server, which follows the files.
 */
import {
  type AccessTokenRow,
  formatAccessTokens,
  makeAccessToken,
  parseAccessTokens,
} from '../../auth/access-tokens.ts'
import { ACTIONS, type Action } from '../../auth/caller.ts'
import { parseHtpasswd } from '../../auth/htpasswd.ts'
import { claimsOf } from '../../auth/jwt.ts'
import {
  addRevocation,
  formatRevocations,
  parseRevocations,
  type Revocation,
} from '../../auth/revocations.ts'
import { changeSecretFile, readIfThere, secretFilePaths } from '../../auth/secret-file.ts'
import { sessionLifeMs } from '../../auth/sessions.ts'
import { formatKeyFile, newKeyFile, parseKeyFile, rotateKeys } from '../../auth/token-keys.ts'
import type { Config } from '../../config/config.ts'
import { parseDuration } from '../../config/quantities.ts'
import { isPattern } from '../../config/sections/access.ts'
import type { CommandLine, RunCommand } from '../command.ts'
import { configOf, Misuse, reportFailure } from '../command-line.ts'
import type { Terminal } from '../terminal.ts'

const expiresMsMax = 3650 * 86_400_000

export const token: RunCommand = async (line, terminal) => {
  const action = line.command.words[1]!
  const [operand] = line.operands
  const user = action === 'revoke' ? line.text('user') : undefined
  if (action === 'revoke' && (operand === undefined) === (user === undefined)) {
    throw new Misuse('token revoke needs one id, one refresh token, or --user')
  }
  const wanted = action === 'create' ? readWish(line) : undefined
  const config = await configOf(line, terminal)
  return reportFailure(terminal, `token ${action} failed`, async () => {
    switch (action) {
      case 'create':
        return create(config, wanted!, terminal)
      case 'list':
        return list(config, terminal)
      case 'revoke':
        return user === undefined
          ? revoke(config, operand!, terminal)
          : revokeUser(config, user, terminal)
      default:
        return rotate(config, line.has('now'), terminal)
    }
  })
}

type Wish = Pick<AccessTokenRow, 'user' | 'repositories' | 'actions'> & { readonly lifeMs: number }

/** What the flags ask for. Throws `Misuse` where one is missing or wrong. */
function readWish(line: CommandLine): Wish {
  const user = line.text('user')
  const repositories = line.list('repositories')
  const actions = line.list('actions')
  const expires = line.text('expires')
  if (user === undefined) throw new Misuse('token create needs --user')
  if (repositories.length === 0) {
    throw new Misuse('token create needs --repositories, such as "team/*"')
  }
  if (actions.length === 0) throw new Misuse('token create needs --actions, such as pull,push')
  if (expires === undefined) throw new Misuse('token create needs --expires, such as 30d')
  const strange = repositories.find((text) => !isPattern(text))
  if (strange !== undefined) {
    throw new Misuse(`--repositories: "${strange}" is not a pattern such as "team/*"`)
  }
  const unknown = actions.find((text) => !isAction(text))
  if (unknown !== undefined) {
    throw new Misuse(`--actions: "${unknown}" is not one of ${ACTIONS.join(', ')}`)
  }
  const life = parseDuration(expires)
  if (!life.ok) throw new Misuse(`--expires: ${life.error}`)
  if (life.value <= 0 || life.value > expiresMsMax) {
    throw new Misuse('--expires: expected 1s to 3650d')
  }
  return {
    user,
    repositories: [...repositories],
    actions: actions.filter(isAction),
    lifeMs: life.value,
  }
}

function isAction(text: string): text is Action {
  return ACTIONS.some((action) => action === text)
}

async function create(config: Config, wish: Wish, terminal: Terminal): Promise<number> {
  const { htpasswdFile } = config.auth
  if (htpasswdFile === undefined) throw new Error('auth.type is "none": there are no users')
  const parsed = parseHtpasswd((await readIfThere(htpasswdFile)) ?? '', htpasswdFile)
  if (!parsed.ok) throw new Error(parsed.problems.join('; '))
  const { user, lifeMs } = wish
  if (!parsed.users.has(user)) throw new Error(`there is no user "${user}" in ${htpasswdFile}`)
  const now = Date.now()
  const { repositories, actions } = wish
  const made = makeAccessToken({
    user,
    repositories,
    actions,
    createdAt: now,
    expiresAt: now + lifeMs,
  })
  await changeTokens(config, (rows) => [...rows.filter((row) => row.expiresAt > now), made.row])
  terminal.print(
    `token ${made.row.id} of ${user}, until ${isoTime(made.row.expiresAt)}; shown once:`,
  )
  terminal.print(made.text)
  return 0
}

async function list(config: Config, terminal: Terminal): Promise<number> {
  const text = await readIfThere(secretFilePaths(config.storage.path).accessTokens)
  const rows = text === undefined ? [] : parseAccessTokens(text)
  terminal.print('ID\tUSER\tREPOSITORIES\tACTIONS\tCREATED\tEXPIRES')
  for (const { id, user, repositories, actions, createdAt, expiresAt } of rows) {
    const state = expiresAt <= Date.now() ? ' (expired)' : ''
    const times = `${isoTime(createdAt)}\t${isoTime(expiresAt)}${state}`
    terminal.print(`${id}\t${user}\t${repositories.join(',')}\t${actions.join(',')}\t${times}`)
  }
  return 0
}

/** An access token by its id; a login by the text of one of its refresh tokens, or by its id. */
async function revoke(config: Config, text: string, terminal: Terminal): Promise<number> {
  const login = loginOf(text)
  if (login !== undefined) {
    const now = Date.now()
    await changeRevocations(config, { id: login, until: now + tokenLifeMs(config) })
    terminal.print(`the tokens of login ${login} are revoked; ${noticed}`)
    return 0
  }
  await changeTokens(config, (rows) => {
    if (!rows.some((row) => row.id === text)) throw new Error(`there is no token "${text}"`)
    return rows.filter((row) => row.id !== text)
  })
  terminal.print(`token ${text} is revoked; ${noticed}`)
  return 0
}

const noticed = 'a running server notices within a second'

/** Every bearer and refresh token that this user has by now; access tokens have ids of their own. */
async function revokeUser(config: Config, user: string, terminal: Terminal): Promise<number> {
  const now = Date.now()
  const before = Math.floor(now / 1000)
  await changeRevocations(config, { user, before, until: now + tokenLifeMs(config) })
  terminal.print(`every login of ${user} until now is revoked; ${noticed}`)
  return 0
}

const LOGIN_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** The id of a login: given as such, or in a token whose signature is of no interest here. */
function loginOf(text: string): string | undefined {
  if (LOGIN_ID.test(text)) return text
  const { sid, jti } = claimsOf(text)
  const id = sid ?? jti
  return typeof id === 'string' && LOGIN_ID.test(id) ? id : undefined
}

async function rotate(config: Config, isNow: boolean, terminal: Terminal): Promise<number> {
  const { ttlMs, refreshTtlMs } = config.auth.tokens
  const lifeMs = Math.max(ttlMs, refreshTtlMs, sessionLifeMs)
  await changeSecretFile(secretFilePaths(config.storage.path).keys, async (text) => {
    const now = Date.now()
    if (text === undefined || isNow) return formatKeyFile(await newKeyFile(now))
    return formatKeyFile(await rotateKeys(parseKeyFile(text), now, lifeMs))
  })
  terminal.print(
    isNow
      ? `every bearer and refresh token has ended; ${noticed}`
      : 'tokens are signed with a new key; those of the old ones hold until they end',
  )
  return 0
}

/** How long a token that was made by now can be of use at most. */
function tokenLifeMs({ auth: { tokens } }: Config): number {
  return Math.max(tokens.ttlMs, tokens.loginLifeMs)
}

function changeRevocations(config: Config, added: Revocation): Promise<void> {
  return changeSecretFile(secretFilePaths(config.storage.path).revocations, (text) =>
    formatRevocations(
      addRevocation(text === undefined ? [] : parseRevocations(text), added, Date.now()),
    ),
  )
}

function changeTokens(
  config: Config,
  change: (rows: readonly AccessTokenRow[]) => readonly AccessTokenRow[],
): Promise<void> {
  return changeSecretFile(secretFilePaths(config.storage.path).accessTokens, (text) =>
    formatAccessTokens(change(text === undefined ? [] : parseAccessTokens(text))),
  )
}

function isoTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`
}
