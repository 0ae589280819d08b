/**
 * @module The OpenAPI 3.1 document of the admin API, made from the very schemas that validate it.
 * The only user of @valibot/to-json-schema, loaded when somebody asks for the document.
 */
import type { toJsonSchema } from '@valibot/to-json-schema'
import type * as v from 'valibot'
import type { Endpoint } from './endpoint.ts'
import { problemSchema } from './problem.ts'

type Convert = typeof toJsonSchema
type Json = Record<string, unknown>

/** The whole document; made once, the endpoints do not change while the server runs. */
export async function openApiDocument(
  endpoints: readonly Endpoint[],
  version: string,
): Promise<Json> {
  const { toJsonSchema } = await import('@valibot/to-json-schema')
  const paths: Record<string, Json> = {}
  for (const endpoint of endpoints) {
    paths[endpoint.path] ??= {}
    paths[endpoint.path]![endpoint.method.toLowerCase()] = operation(endpoint, toJsonSchema)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'FastRegistry admin API',
      version,
      description: 'Refusals are problem documents (RFC 9457) with the id of the request.',
    },
    paths,
    components: { schemas: { Problem: schemaOf(problemSchema, toJsonSchema, 'output') } },
  }
}

function operation(endpoint: Endpoint, convert: Convert): Json {
  const { method, path, summary, group, body, answer } = endpoint
  const content =
    answer === undefined
      ? { 'text/event-stream': { schema: { type: 'string' } } }
      : { 'application/json': { schema: schemaOf(answer, convert, 'input') } }
  return {
    operationId: operationId(method, path),
    summary,
    tags: [group],
    'x-need': endpoint.need,
    parameters: [
      ...parameters(endpoint.params, 'path', convert),
      ...parameters(endpoint.query, 'query', convert),
    ],
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: false,
            content: { 'application/json': { schema: schemaOf(body, convert, 'input') } },
          },
        }),
    responses: {
      '2XX': { description: 'done', content },
      default: {
        description: 'refused',
        content: {
          'application/json': { schema: { $ref: '#/components/schemas/Problem' } },
        },
      },
    },
  }
}

function parameters(
  schema: v.GenericSchema | undefined,
  place: 'path' | 'query',
  convert: Convert,
): Json[] {
  if (schema === undefined) return []
  const json = schemaOf(schema, convert, 'input')
  const required = new Set((json['required'] as string[] | undefined) ?? [])
  return Object.entries((json['properties'] ?? {}) as Record<string, Json>).map(([name, it]) => ({
    name,
    in: place,
    required: place === 'path' || required.has(name),
    schema: it,
  }))
}

/** Checks that JSON schema has no word for are left out: the server still makes them. */
function schemaOf(schema: v.GenericSchema, convert: Convert, typeMode: 'input' | 'output'): Json {
  const { $schema: _dialect, ...json } = convert(schema as never, {
    typeMode,
    errorMode: 'ignore',
    target: 'draft-2020-12',
  }) as Json
  return json
}

/** `POST /admin/gc/plans/{plan}/apply` is `postGcPlansByPlanApply`. */
function operationId(method: string, path: string): string {
  const words = path
    .replace('/admin/', '')
    .replaceAll('{', 'by/')
    .split(/[/}._-]+/)
  const capital = (word: string) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`
  return (
    method.toLowerCase() +
    words
      .filter((word) => word !== '')
      .map(capital)
      .join('')
  )
}
