/**
 * @module What the server says of itself: `/admin/status`, and this API's own description.
 */
import * as v from 'valibot'
import type { Right } from '../auth/asker.ts'
import { type Endpoint, endpoint } from './endpoint.ts'
import { openApiDocument } from './openapi.ts'
import { defined } from './schemas.ts'

export interface ServiceSources {
  readonly version: string
  /** What `/admin/status` shows beside state and version; each feature adds its own part. */
  readonly describe: () =>
    | Readonly<Record<string, unknown>>
    | Promise<Readonly<Record<string, unknown>>>
  /** Every endpoint of the API, these included. */
  readonly endpoints: () => readonly Endpoint[]
}

const statusSchema = v.looseObject({ status: v.literal('running'), version: v.string() })

const rightSchema = v.object({
  repositories: v.array(v.string()),
  actions: v.array(v.string()),
})

const toRight = ({ repositories, actions }: Right) => ({
  repositories: [...repositories],
  actions: [...actions],
})

export function serviceEndpoints({ version, describe, endpoints }: ServiceSources): Endpoint[] {
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
    endpoint({
      method: 'GET',
      path: '/admin/session',
      need: 'any',
      group: 'service',
      summary:
        "the caller and the caller's rights on which repositories, in the order of the rules (the first that matches decides), and the limits of the credentials",
      answer: v.object({
        kind: v.picklist(['open', 'anonymous', 'user']),
        name: v.optional(v.string()),
        groups: v.array(v.string()),
        via: v.string(),
        isAdmin: v.boolean(),
        rights: v.array(rightSchema),
        limits: v.optional(v.array(rightSchema)),
      }),
      handle: (_input, { asker }) => {
        const { kind, name, groups, via, rights, limits } = asker.describe()
        return defined({
          kind,
          name: name === '' ? undefined : name,
          groups: [...groups],
          via,
          isAdmin: asker.isAdmin,
          rights: rights.map(toRight),
          limits: limits?.map(toRight),
        })
      },
    }),
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
