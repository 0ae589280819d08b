import { describe, expect, test } from 'vitest'
import {
  ClientGone,
  type HttpRequest,
  type HttpResponse,
  type ResponseHead,
} from '../../../src/http/engine/port.ts'
import { engineRefusal, respondError } from '../../../src/http/respond-error.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { ERRORS, type ErrorKind } from '../../../src/registry/error-kinds.ts'
import type { ErrorRow } from '../../../src/registry/error-row.ts'
import { RegistryError } from '../../../src/registry/errors.ts'

function answer(error: unknown, state: HttpResponse['state'] = 'open', method = 'GET') {
  const lines: string[] = []
  const logger = createLogger('info', { write: (text) => lines.push(text) })
  const sent: { head: ResponseHead; body: string | undefined }[] = []
  let cuts = 0
  const response = {
    state,
    send: (head: ResponseHead, body: string) => sent.push({ head, body }),
    sendHead: (head: ResponseHead) => sent.push({ head, body: undefined }),
    closeAfter: () => {},
    cut: () => {
      cuts += 1
    },
  }
  const request = { id: 'id-1', method } as HttpRequest
  respondError(request, response as unknown as HttpResponse, error, logger)
  return { lines, sent, cuts }
}

describe('an error', () => {
  test.each(Object.keys(ERRORS) as ErrorKind[])('%s is answered as its row says', (kind) => {
    const { code, status, message }: ErrorRow = ERRORS[kind]
    const [sent] = answer(new RegistryError(kind, { detail: { a: 1 } })).sent
    expect(sent?.head.status).toBe(status)
    const { errors, requestId } = JSON.parse(sent?.body ?? '') as {
      errors: { code: string; message: string; detail: unknown }[]
      requestId: string
    }
    expect(requestId).toBe('id-1')
    expect(errors).toEqual([{ code, message, detail: kind === 'UNKNOWN' ? null : { a: 1 } }])
    expect(new Map(sent?.head.headers).get('X-Request-Id')).toBe('id-1')
  })

  test.each([
    ['an error', new Error('secret /var/lib/path')],
    ['a text', 'secret'],
    ['nothing', undefined],
    ['an UNKNOWN with a message', new RegistryError('UNKNOWN', { message: 'secret', cause: 'x' })],
  ])('that is %s tells the client nothing and the log everything', (_name, thrown) => {
    const { sent, lines } = answer(thrown)
    expect(sent[0]?.head.status).toBe(500)
    expect(sent[0]?.body).not.toContain('secret')
    expect(lines.join()).toContain('id-1')
    expect(lines).toHaveLength(1)
  })

  test('of several reasons is several entries', () => {
    const more = [{ message: 'two', detail: 2 }, { message: 'three' }]
    const error = new RegistryError('MANIFEST_BLOB_UNKNOWN', { message: 'one', detail: 1, more })
    const { errors } = JSON.parse(answer(error).sent[0]?.body ?? '') as { errors: unknown[] }
    const code = 'MANIFEST_BLOB_UNKNOWN'
    expect(errors).toEqual([
      { code, message: 'one', detail: 1 },
      { code, message: 'two', detail: 2 },
      { code, message: 'three', detail: null },
    ])
  })

  test('after the head was sent breaks the answer off', () => {
    const { sent, cuts } = answer(new Error('late'), 'headersSent')
    expect([sent.length, cuts]).toEqual([0, 1])
  })

  test('of a client that left is nobody’s: no answer, no log', () => {
    expect(answer(new ClientGone())).toEqual({ lines: [], sent: [], cuts: 0 })
  })

  test('a refusal of the client is no line in the log of faults', () => {
    expect(answer(new RegistryError('NAME_INVALID')).lines).toEqual([])
  })
})

test('a refusal of the engine has the same shape', () => {
  const { head, body } = engineRefusal(400, 'bad framing')
  expect(head.status).toBe(400)
  expect(JSON.parse(body)).toMatchObject({
    errors: [{ code: 'UNSUPPORTED', message: 'bad framing', detail: null }],
  })
})
