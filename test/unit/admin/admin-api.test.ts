/**
 * @module The admin API's framework without a server: which endpoint a path means, what is validated,
 * what a refusal looks like, who is kept out, and that the document says the same as the code.
 */
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { AdminApi, type AdminRequest } from '../../../src/admin/admin-api.ts'
import { endpoint, Reply } from '../../../src/admin/endpoint.ts'
import { openApiDocument } from '../../../src/admin/openapi.ts'
import { openAsker } from '../../../src/auth/asker.ts'
import { Browsers } from '../../../src/http/browsers.ts'
import type { ApiAnswer } from '../../../src/runtime/api-answer.ts'

const params = v.object({ repository: v.string() })

const endpoints = [
  endpoint({
    method: 'GET',
    path: '/admin/repositories/{repository}',
    group: 'test',
    summary: 'one repository',
    params,
    answer: v.object({ name: v.string() }),
    handle: ({ params: { repository } }) => ({ name: repository }),
  }),
  endpoint({
    method: 'GET',
    path: '/admin/repositories/{repository}/tags',
    group: 'test',
    summary: 'its tags',
    params,
    query: v.object({ limit: v.optional(v.pipe(v.string(), v.regex(/^\d+$/, 'not a number'))) }),
    answer: v.object({ tagsOf: v.string() }),
    handle: ({ params: { repository } }) => ({ tagsOf: repository }),
  }),
  endpoint({
    method: 'POST',
    path: '/admin/jobs',
    group: 'test',
    summary: 'starts a job',
    body: v.strictObject({ wait: v.optional(v.boolean(), false) }),
    answer: v.object({ waited: v.boolean(), by: v.string() }),
    handle: ({ body }, { actor }) => new Reply(202, { waited: body.wait, by: actor }),
  }),
  endpoint({
    method: 'POST',
    path: '/admin/broken',
    group: 'test',
    summary: 'fails',
    answer: v.object({}),
    handle: () => {
      throw new Error('secret path /var/lib')
    },
  }),
]
const browsers = new Browsers({
  origins: ['https://ui.test'],
  hosts: [],
  knownNames: async () => [],
  monotonic: () => 0,
})
const api = new AdminApi(endpoints, (request) => browsers.isOtherSite(request))

interface Asked {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

async function ask(method: string, target: string, { headers = {}, body = '' }: Asked = {}) {
  const [path = '', query = ''] = target.split('?')
  const request: AdminRequest = {
    id: 'r-1',
    method,
    path,
    query,
    bodyBytes: body.length,
    signal: new AbortController().signal,
    scheme: 'http',
    host: headers['host'] ?? '',
    header: (name) => headers[name],
    readBody: async (onChunk) => {
      if (body !== '') onChunk(Buffer.from(body))
    },
  }
  const answer = await api.handle(request, 'operator', openAsker)
  return answer as ApiAnswer & { kind: 'json' }
}

const json = { 'content-type': 'application/json' }
const form = { 'content-type': 'application/x-www-form-urlencoded' }

describe('which endpoint a path means', () => {
  test('a name may have its slashes as they are, or encoded', async () => {
    expect((await ask('GET', '/admin/repositories/team/app')).body).toEqual({ name: 'team/app' })
    expect((await ask('GET', '/admin/repositories/team%2Fapp')).body).toEqual({ name: 'team/app' })
    expect((await ask('GET', '/admin/repositories/team/app/tags')).body).toEqual({
      tagsOf: 'team/app',
    })
  })

  test('a name that looks like a path is reached by encoding it', async () => {
    const answer = await ask('GET', '/admin/repositories/team%2Ftags')
    expect(answer.body).toEqual({ name: 'team/tags' })
  })

  test('an unknown path is 404, another method 405 with Allow, bad encoding 400', async () => {
    const unknown = await ask('GET', '/admin/nothing')
    expect(unknown.status).toBe(404)
    const context = { path: '/admin/nothing' }
    expect(unknown.body).toMatchObject({ code: 'not_found', context })
    const refused = await ask('DELETE', '/admin/repositories/app')
    expect(refused.status).toBe(405)
    expect(refused.body).toMatchObject({ code: 'method_not_allowed' })
    expect(refused.error?.facts).toEqual({ allowed: ['GET', 'HEAD'] })
    expect((await ask('GET', '/admin/repositories/%ff')).status).toBe(400)
  })
})

describe('what comes is validated', () => {
  test('an absent body is an empty one', async () => {
    const answer = await ask('POST', '/admin/jobs')
    expect([answer.status, answer.body]).toEqual([202, { waited: false, by: 'operator' }])
  })

  test.each([
    ['not JSON', '{', json, 400, 'bad_request'],
    ['an unknown key', '{"wai":true}', json, 400, 'bad_request'],
    ['a wrong type', '{"wait":"yes"}', json, 400, 'bad_request'],
    ['a list', '[]', json, 400, 'bad_request'],
    ['a form', 'wait=true', form, 415, 'unsupported_type'],
    ['no type', '{}', {}, 415, 'unsupported_type'],
    ['too much', `{"wait":${' '.repeat(1024 * 1024)}true}`, json, 413, 'too_large'],
  ])('%s is refused', async (_name, body, headers, status, code) => {
    const refused = await ask('POST', '/admin/jobs', { headers, body })
    expect(refused.status).toBe(status)
    expect(refused.body).toMatchObject({ status, code, errors: [{ code: 'UNSUPPORTED' }] })
  })

  test('a problem names the field, the sentence and the request', async () => {
    const answer = await ask('GET', '/admin/repositories/a/tags?limit=x')
    expect(answer.body).toEqual({
      type: 'about:blank',
      title: 'Bad Request',
      status: 400,
      code: 'bad_request',
      detail: 'query.limit: not a number',
      error: 'query.limit: not a number',
      errors: [{ code: 'UNSUPPORTED', message: 'query.limit: not a number', detail: null }],
      requestId: 'r-1',
      problems: [{ field: 'query.limit', problem: 'not a number' }],
    })
    expect(Object.fromEntries(answer.headers)['Content-Type']).toBe('application/json')
  })

  test('a fault of ours tells its id and nothing else', async () => {
    const answer = await ask('POST', '/admin/broken')
    expect(answer.status).toBe(500)
    expect(JSON.stringify(answer.body)).not.toContain('secret')
    expect(answer.fault).toBeInstanceOf(Error)
  })
})

describe('requests of other web sites', () => {
  test.each([
    ['cross-site fetch', { 'sec-fetch-site': 'cross-site' }, 403],
    ['same-site fetch of a neighbour', { 'sec-fetch-site': 'same-site' }, 403],
    ['another origin', { origin: 'https://evil.test', host: 'registry.test' }, 403],
    ['the opaque origin', { origin: 'null', host: 'registry.test' }, 403],
    ['its own origin', { origin: 'https://registry.test:5000', host: 'registry.test:5000' }, 200],
    ['a site that is named', { origin: 'https://ui.test', 'sec-fetch-site': 'cross-site' }, 200],
    ['a page of its own', { 'sec-fetch-site': 'same-origin' }, 200],
    ['typed by a person', { 'sec-fetch-site': 'none' }, 200],
    ['a program', {}, 200],
  ])('%s: %o gives %d', async (_name, headers, status) => {
    const answer = await ask('GET', '/admin/repositories/app', { headers })
    expect(answer.status).toBe(status)
    if (status === 200) return
    expect(answer.body).toMatchObject({ code: 'cross_site', errors: [{ code: 'UNSUPPORTED' }] })
    expect(answer.error?.auditWord).toBe('cross-site')
  })
})

test('the document has every endpoint with its parameters, body and answer', async () => {
  const document = (await openApiDocument(api.endpoints, '1.2.3')) as {
    paths: Record<string, Record<string, { operationId: string; parameters: unknown[] }>>
  }
  expect(document).toMatchObject({ openapi: '3.1.0', info: { version: '1.2.3' } })
  const tags = document.paths['/admin/repositories/{repository}/tags']!['get']!
  expect(tags.operationId).toBe('getRepositoriesByRepositoryTags')
  expect(tags.parameters).toEqual([
    { name: 'repository', in: 'path', required: true, schema: { type: 'string' } },
    { name: 'limit', in: 'query', required: false, schema: { type: 'string', pattern: '^\\d+$' } },
  ])
  expect(document.paths['/admin/jobs']!['post']).toMatchObject({
    requestBody: {
      content: { 'application/json': { schema: { additionalProperties: false } } },
    },
  })
})
