/**
 * @module What the server says of itself: `/admin/status`, and this API's own description.
 */
import * as v from 'valibot'
import type { Asker, Right } from '../auth/asker.ts'
import { type Endpoint, endpoint, Reply } from './endpoint.ts'
import { openApiDocument } from './openapi.ts'
import { conflict } from './problem.ts'
import { defined, isoTime } from './schemas.ts'

export interface ServiceSources {
  readonly version: string
  /** What `/admin/status` shows beside state and version; each feature adds its own part. */
  readonly describe: () =>
    | Readonly<Record<string, unknown>>
    | Promise<Readonly<Record<string, unknown>>>
  /** Every endpoint of the API, these included. */
  readonly endpoints: () => readonly Endpoint[]
  /** What this server has, by the names that `/admin/session` gives it. */
  readonly features: Features
}

/** Parts of a server that are there or not, as it is configured. */
export interface Features {
  readonly access: boolean
  readonly audit: boolean
  readonly deletes: boolean
  readonly mesh: boolean
  readonly metrics: boolean
  readonly mirrors: boolean
  readonly signatures: boolean
  readonly sync: boolean
}

const statusSchema = v.looseObject({ status: v.literal('running'), version: v.string() })

const rightSchema = v.object({
  repositories: v.array(v.string()),
  actions: v.array(v.string()),
})

const sessionSchema = v.object({
  kind: v.picklist(['open', 'anonymous', 'user']),
  user: v.nullable(v.string()),
  groups: v.array(v.string()),
  via: v.string(),
  isAdmin: v.boolean(),
  rights: v.array(rightSchema),
  limits: v.optional(v.array(rightSchema)),
  login: v.optional(v.object({ startedAt: v.string(), expiresAt: v.string() })),
  features: v.object({
    access: v.boolean(),
    audit: v.boolean(),
    deletes: v.boolean(),
    mesh: v.boolean(),
    metrics: v.boolean(),
    mirrors: v.boolean(),
    signatures: v.boolean(),
    sync: v.boolean(),
  }),
  version: v.optional(v.string()),
})

const userNameSchema = v.pipe(
  v.string('expected the name of a user'),
  v.regex(/^[^:]{1,255}$/, 'expected the name of a user: 1 to 255 characters, and no colon'),
)

const passwordSchema = v.pipe(
  v.string('expected a password or an access token'),
  v.minLength(1, 'expected a password or an access token'),
  v.maxLength(1_024, 'expected at most 1024 characters'),
)

const toRight = ({ repositories, actions }: Right) => ({
  repositories: [...repositories],
  actions: [...actions],
})

export function serviceEndpoints({
  version,
  describe,
  endpoints,
  features,
}: ServiceSources): Endpoint[] {
  let document: Promise<Record<string, unknown>> | undefined
  return [
    endpoint({
      method: 'GET',
      path: '/admin/status',
      group: 'service',
      summary: 'version, uptime, storage, health of each part, last and next runs',
      answer: statusSchema,
      handle: async () => ({ status: 'running' as const, version, ...(await describe()) }),
    }),
    ...sessionEndpoints(version, features),
    endpoint({
      method: 'GET',
      path: '/admin/openapi.json',
      need: 'any',
      group: 'service',
      summary: 'this API as an OpenAPI 3.1 document',
      answer: v.record(v.string(), v.unknown()),
      handle: () => {
        document ??= openApiDocument(endpoints(), version)
        return document
      },
    }),
  ]
}

/** Who asks, and logging in and out in the pages. */
function sessionEndpoints(version: string, features: Features): Endpoint[] {
  const sessionOf = (asker: Asker): v.InferInput<typeof sessionSchema> => {
    const { kind, name, groups, via, rights, limits, session } = asker.describe()
    const login = session && {
      startedAt: isoTime(session.startedAt),
      expiresAt: isoTime(session.expiresAt),
    }
    return defined({
      kind,
      user: name === '' ? null : name,
      groups: [...groups],
      via,
      isAdmin: asker.isAdmin,
      rights: rights.map(toRight),
      limits: limits?.map(toRight),
      login,
      features,
      // It would tell strangers which faults to try.
      version: kind === 'anonymous' ? undefined : version,
    })
  }
  const path = '/admin/session'
  const group = 'service'
  return [
    endpoint({
      method: 'GET',
      path,
      need: 'none',
      group,
      summary:
        "the caller and the caller's rights on which repositories, in the order of the rules (the first that matches decides), the limits of the credentials, and what this server has",
      answer: sessionSchema,
      handle: (_input, { asker }) => sessionOf(asker),
    }),
    endpoint({
      method: 'POST',
      path,
      need: 'none',
      group,
      summary:
        'logs in, with a password or an access token, and answers as GET does, with the cookie of the login',
      body: v.strictObject({ user: userNameSchema, password: passwordSchema }),
      answer: sessionSchema,
      handle: async ({ body: { user, password } }, { sessions }) => {
        if (sessions === undefined)
          throw conflict('access control is off: there is nothing to log in to')
        const { asker, cookie } = await sessions.open(user, password)
        return new Reply(200, sessionOf(asker), [['Set-Cookie', cookie]])
      },
    }),
    endpoint({
      method: 'DELETE',
      path,
      need: 'none',
      group,
      summary: 'logs out: every cookie of the login ends, on all nodes',
      answer: v.object({ ended: v.boolean() }),
      handle: async (_input, { sessions }) => {
        if (sessions === undefined) return { ended: false }
        const { ended, cookie } = await sessions.close()
        return new Reply(200, { ended }, [['Set-Cookie', cookie]])
      },
    }),
  ]
}
