/**
 * @module The admin API driven by what its own OpenAPI document says: valid and broken parameters and
 * bodies for every operation. Never a 5xx, and every answer matches its schema.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { admin, pushOwnImage } from '../../support/admin.ts'
import { describeRegistry, ENGINES } from '../../support/in-process.ts'

interface Schema {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly items?: Schema
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly $ref?: string
}

interface Operation {
  readonly operationId: string
  readonly parameters: readonly {
    readonly name: string
    readonly in: string
    readonly schema: Schema
  }[]
  readonly requestBody?: {
    readonly content: { readonly 'application/json': { readonly schema: Schema } }
  }
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }>
  >
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

/** What is wrong with a value, in the words of JSON schema that the document uses. */
function mismatch(
  document: Document,
  schema: Schema,
  value: unknown,
  at = '$',
): string | undefined {
  if (schema.$ref !== undefined) {
    return mismatch(
      document,
      document.components.schemas[schema.$ref.split('/').at(-1)!]!,
      value,
      at,
    )
  }
  if (schema.const !== undefined && value !== schema.const)
    return `${at} is not ${String(schema.const)}`
  if (schema.enum !== undefined && !schema.enum.includes(value)) return `${at} is not in its enum`
  if (schema.type === 'array') {
    if (!Array.isArray(value)) return `${at} is no list`
    for (const [index, item] of value.entries()) {
      const found = mismatch(document, schema.items ?? {}, item, `${at}[${index}]`)
      if (found !== undefined) return found
    }
    return undefined
  }
  if (schema.type === 'object') {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return `${at} is no object`
    for (const name of schema.required ?? [])
      if (!(name in value)) return `${at}.${name} is missing`
    for (const [name, part] of Object.entries(value)) {
      const known = schema.properties?.[name]
      const other = schema.additionalProperties
      if (known === undefined && other === false) return `${at}.${name} is not known`
      const inner = known ?? (typeof other === 'object' ? other : undefined)
      const found =
        inner === undefined ? undefined : mismatch(document, inner, part, `${at}.${name}`)
      if (found !== undefined) return found
    }
    return undefined
  }
  if (schema.type === undefined || schema.type === typeof value) return undefined
  return schema.type === 'integer' && Number.isInteger(value)
    ? undefined
    : `${at} is no ${schema.type}`
}

/** Words that mean something here, and words that do not. */
function words(known: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...known) },
    { weight: 1, arbitrary: fc.string({ maxLength: 40 }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('', '..', '%', '\u0000', 'a'.repeat(600), '-1', '1e9', 'null'),
    },
  )
}

type Known = Readonly<Record<string, readonly string[]>>

function arbitraryOf(schema: Schema, known: Known, key = ''): fc.Arbitrary<unknown> {
  const text = words(known[key] ?? known['']!)
  return arbitraryWith(schema, known, key, text)
}

function arbitraryWith(
  schema: Schema,
  known: Known,
  key: string,
  text: fc.Arbitrary<string>,
): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) return fc.oneof(fc.constantFrom(...schema.enum), text)
  switch (schema.type) {
    case 'object':
      return fc.record(
        Object.fromEntries(
          Object.entries(schema.properties ?? {}).map(([name, it]) => [
            name,
            arbitraryOf(it, known, name),
          ]),
        ),
        { requiredKeys: [...(schema.required ?? [])] },
      )
    case 'array':
      return fc.array(arbitraryOf(schema.items ?? {}, known, key), { maxLength: 3 })
    case 'boolean':
      return fc.boolean()
    case 'number':
    case 'integer':
      return fc.oneof(fc.integer({ min: -5, max: 5_000 }), fc.double())
    default:
      return text
  }
}

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-admin-fuzz-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const config = {
  storage: { gc: { grace: '0s', undelete_window: '1h', keep_recent: 1 } },
  audit: { file: join(folder, 'audit.log') },
}

describeRegistry(
  'the admin API, by its own document',
  { config, engines: ENGINES.slice(0, 1) },
  (registry) => {
    test('answers every request as it says, and never with a fault', async () => {
      const { client } = registry()
      const image = await pushOwnImage(client, 'fuzz/app', 'v1', 'fuzz')
      await pushOwnImage(client, 'fuzz/app', 'v2', 'fuzz 2')
      const document = (await client.get('/admin/openapi.json')).json as Document
      const known: Known = {
        '': ['fuzz/app', 'v1', image.digest, '10', 'true', '2026-01-01T00:00:00Z'],
        repository: ['fuzz/app'],
        to: ['fuzz/renamed'],
        reference: ['v1', image.digest],
        tag: ['v1', 'v2'],
        digest: [image.digest, image.layer.digest],
        name: ['deploy'],
        limit: ['10', '1'],
        after: ['', 'a'],
        of: ['fuzz/app', 'fuzz/app:v1'],
        since: ['2026-01-01T00:00:00Z'],
        repositories: ['fuzz/**'],
        tags: ['v*'],
      }
      const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
      )
      expect(operations.length).toBeGreaterThan(25)
      const seen = new Map<string, Set<number>>()
      for (const { path, method, operation } of operations) {
        if (path.endsWith('/stream')) continue
        const { parameters, requestBody, responses } = operation
        const input = fc.record({
          values: fc.record(
            Object.fromEntries(
              parameters.map(({ name, schema }) => [name, arbitraryOf(schema, known, name)]),
            ),
          ),
          body:
            requestBody === undefined
              ? fc.constant(undefined)
              : arbitraryOf(requestBody.content['application/json'].schema, known),
        })
        await fc.assert(
          fc.asyncProperty(input, async ({ values, body }) => {
            const given = values as Record<string, unknown>
            let target = path
            const query = new URLSearchParams()
            for (const { name, in: place } of parameters) {
              const value = String(given[name])
              if (place === 'query') query.set(name, value)
              else target = target.replace(`{${name}}`, encodeURIComponent(value) || 'x')
            }
            const answer = await admin(
              client,
              method.toUpperCase(),
              `${target}?${query}`,
              body as object | undefined,
            )
            const what = `${method} ${target} ${JSON.stringify(body)}: ${answer.text.slice(0, 300)}`
            expect(answer.status, what).toBeLessThan(500)
            const isGood = answer.status < 300
            const response = (isGood ? responses['2XX'] : responses['default'])!
            const { schema } = Object.values(response.content)[0]!
            expect(mismatch(document, schema, answer.json), what).toBeUndefined()
            const statuses = seen.get(operation.operationId) ?? new Set()
            seen.set(operation.operationId, statuses.add(answer.status < 300 ? 200 : 400))
          }),
          { numRuns: 40 },
        )
      }
      const streams = operations.filter(({ path }) => path.endsWith('/stream')).length
      expect(seen.size).toBe(operations.length - streams)
      const succeeded = [...seen].filter(([, statuses]) => statuses.has(200)).length
      expect(succeeded).toBeGreaterThan(15)
      expect(registry().faults).toEqual([])
    }, 240_000)
  },
)
