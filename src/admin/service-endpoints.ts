/**
 * @module What the server says of itself: `/admin/status`, and this API's own description.
 */
import * as v from 'valibot'
import { type Endpoint, endpoint } from './endpoint.ts'
import { openApiDocument } from './openapi.ts'

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
      path: '/admin/openapi.json',
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
