/**
 * @module From checked settings to the access-control part of `Config`, and what no setting of it
 * can tell alone.
 */
import { resolve } from 'node:path'
import type { AccessControlConfig, AccessRule, ForeignTokensConfig } from './config-access.ts'
import type { SettingKey, Values } from './schema.ts'

export function accessConfig(values: Values): AccessControlConfig {
  const file = values['auth.htpasswd_file']
  const isHtpasswd = values['auth.type'] === 'htpasswd'
  const audit = values['audit.file']
  return {
    trustedProxies: values['server.trusted_proxies'],
    limits: {
      requestsPerSecond: values['limits.requests_per_second'],
      bytesPerSecond: values['limits.bytes_per_second'],
    },
    auditFile: audit === '' || audit === 'stdout' ? orUndefined(audit) : resolve(audit),
    auth: {
      type: values['auth.type'],
      htpasswdFile: isHtpasswd ? resolve(file) : undefined,
      groups: values['auth.groups'],
      tokens: {
        challenge: values['auth.tokens.challenge'],
        realm: orUndefined(values['auth.tokens.realm']),
        service: orUndefined(values['auth.tokens.service']),
        issuer: values['auth.tokens.issuer'],
        ttlMs: values['auth.tokens.ttl'],
        refreshTtlMs: values['auth.tokens.refresh_ttl'],
        loginLifeMs: values['auth.tokens.login_life'],
        keyLifeMs: values['auth.tokens.key_life'],
      },
      foreign: foreignTokens(values),
    },
    access: withMirrorRules(values),
  }
}

/**
 * `anonymous_pull` of a mirror as the access rule that it is. An open registry stays open; where no
 * rules are written, users still may do everything.
 */
function withMirrorRules(values: Values): readonly AccessRule[] {
  const { access, mirrors } = values
  const isOpen = access.length === 0 && values['auth.type'] === 'none'
  const pulls = mirrors
    .filter(({ anonymousPull }) => anonymousPull.length > 0)
    .map(({ name, anonymousPull }): AccessRule => {
      return {
        repositories: [`${name}/**`],
        anonymous: true,
        networks: anonymousPull,
        actions: ['pull'],
      }
    })
  if (isOpen || pulls.length === 0) return access
  return [...pulls, ...(access.length === 0 ? [forUsers] : access)]
}

const forUsers: AccessRule = {
  repositories: ['**'],
  actions: ['pull', 'push', 'delete', 'list', 'admin'],
}

function foreignTokens(values: Values): ForeignTokensConfig | undefined {
  const issuer = values['auth.foreign.issuer']
  const jwks = values['auth.foreign.jwks']
  const foreign = {
    issuer,
    jwks: isUrl(jwks) ? jwks : resolve(jwks),
    audience: values['auth.foreign.audience'],
    userClaim: values['auth.foreign.user_claim'],
    groupsClaim: values['auth.foreign.groups_claim'],
    userPrefix: values['auth.foreign.user_prefix'],
    groupPrefix: values['auth.foreign.group_prefix'],
  }
  return issuer === '' ? undefined : foreign
}

/** Whether others may reach the listeners: somebody asks who they are, or that was said not to matter. */
export function isForNetwork(values: Values): boolean {
  const isAsked = values['auth.type'] !== 'none' || values.access.length > 0
  return isAsked || values['auth.foreign.issuer'] !== '' || values['server.open']
}

export function accessProblems(values: Values): readonly (readonly [SettingKey, string])[] {
  const problems: [SettingKey, string][] = []
  const hasTls = values['server.tls.cert'] !== ''
  if (values['server.also_listen_tls'] && !hasTls) {
    problems.push(['server.also_listen_tls', 'server.tls.cert and server.tls.key are missing'])
  }
  if (values['server.tls.sni'].length > 0 && !hasTls) {
    problems.push(['server.tls.sni', 'server.tls.cert is missing: clients without a name need one'])
  }
  const isHtpasswd = values['auth.type'] === 'htpasswd'
  const hasFile = values['auth.htpasswd_file'] !== ''
  if (isHtpasswd && !hasFile) {
    problems.push(['auth.type', 'auth.htpasswd_file is missing; name the file with the users'])
  }
  const foreign = ['auth.foreign.issuer', 'auth.foreign.jwks', 'auth.foreign.audience'] as const
  const missing = foreign.filter((key) => values[key] === '')
  if (missing.length > 0 && missing.length < foreign.length) {
    const given = foreign.find((key) => values[key] !== '')!
    problems.push([given, `${missing.join(' and ')} is missing; tokens of others need all three`])
  }
  const jwks = values['auth.foreign.jwks']
  if (isUrl(jwks) && !URL.canParse(jwks)) {
    problems.push(['auth.foreign.jwks', 'expected a file or an http or https URL'])
  }
  if (values['server.cors.origins'].length > 1 && values['server.cors.origins'].includes('*')) {
    problems.push(['server.cors.origins', '"*" stands alone: it is every site, without logins'])
  }
  const known = new Set(Object.keys(values['auth.groups']))
  for (const [index, { groups = [] }] of values.access.entries()) {
    const prefix = values['auth.foreign.group_prefix']
    const isForeign = (group: string) => missing.length === 0 && group.startsWith(prefix)
    const strange = groups.find((group) => !known.has(group) && !isForeign(group))
    if (strange === undefined || (missing.length > 0 && missing.length < foreign.length)) continue
    const hint = missing.length === 0 ? `; groups of auth.foreign begin with "${prefix}"` : ''
    problems.push([
      'access',
      `[${index}].groups: "${strange}" is not a group of auth.groups${hint}`,
    ])
  }
  return problems
}

function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text)
}

function orUndefined(text: string): string | undefined {
  return text === '' ? undefined : text
}
