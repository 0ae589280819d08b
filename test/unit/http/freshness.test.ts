/**
 * @module What a node of a mesh answers, and when: not before its rows are new enough, and not before no other node
 * contradicts it.
 */
import { describe, expect, test } from 'vitest'
import {
  type ByteSource,
  type Handler,
  type HttpRequest,
  type HttpResponse,
  ResponseHead,
} from '../../../src/http/engine/port.ts'
import { errorHeaders } from '../../../src/http/error-headers.ts'
import { freshly } from '../../../src/http/freshness.ts'
import { StaleReads } from '../../../src/http/stale-reads.ts'
import { RegistryError } from '../../../src/registry/errors.ts'

const digest = `sha256:${'a'.repeat(64)}`
const ok = new ResponseHead(200, [])

/** A promise in the test's hands. */
class Wait {
  resolve!: () => void
  reject!: (error: Error) => void
  readonly promise = new Promise<void>((resolve, reject) => {
    this.resolve = resolve
    this.reject = reject
  })
}

class Store {
  readonly here = new Set<string>()
  fresh_: Wait | undefined
  settled_: Wait | undefined
  readonly asked: string[] = []

  fresh(): Promise<void> | undefined {
    this.asked.push('fresh')
    return this.fresh_?.promise
  }

  settled(path: string): Promise<void> | undefined {
    this.asked.push(`settled ${path}`)
    return this.settled_?.promise
  }

  get(table: string, key: readonly string[]): unknown {
    return this.here.has(`${table} ${key.join('@')}`) ? {} : undefined
  }
}

function isMarked({ headers }: ResponseHead): boolean {
  return headers.some(
    ([name, value]) => name === 'Warning' && value === '110 - "Response is Stale"',
  )
}

function responder() {
  const calls: string[] = []
  const response = {
    state: 'open',
    status: 0,
    bytesSent: 0,
    bytesFetched: 0,
    send: (head: ResponseHead, body: string | Uint8Array) =>
      calls.push(`${isMarked(head) ? 'stale ' : ''}send ${String(body)}`),
    sendHead: () => calls.push('head'),
    stream: () => calls.push('stream'),
    startChunked: () => calls.push('chunked'),
    write: async (bytes: string) => {
      calls.push(`write ${bytes}`)
    },
    end: () => calls.push('end'),
    cut: () => calls.push('cut'),
    closeAfter: () => calls.push('close after'),
  }
  return { calls, response: response as unknown as HttpResponse }
}

function ask(store: Store, handler: Handler, path: string, method = 'GET', stale?: StaleReads) {
  const { calls, response } = responder()
  const request = { method, path, query: '' } as unknown as HttpRequest
  const done = freshly(handler, store as never, stale)(request, response)
  return { calls, done: Promise.resolve(done), isDone: !(done instanceof Promise) }
}

const says =
  (text: string): Handler =>
  (_request, response) =>
    response.send(ok, text)
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await null
}

describe('before', () => {
  test('a tag, a list, a push and the admin API wait until the rows are new enough', async () => {
    for (const [path, method] of [
      ['/v2/a/manifests/latest', 'GET'],
      ['/v2/a/tags/list', 'HEAD'],
      ['/v2/_catalog', 'GET'],
      ['/v2/a/manifests/latest', 'PUT'],
      [`/v2/a/blobs/${digest}`, 'DELETE'],
      ['/admin/pins', 'GET'],
    ] as const) {
      const store = new Store()
      store.fresh_ = new Wait()
      const { calls, done } = ask(store, says('x'), path, method)
      await turns()
      expect(calls, path).toEqual([])
      store.fresh_.resolve()
      await done
      expect(calls, path).toEqual(['send x'])
    }
  })

  test('what is named by its digest waits only if it is not here', () => {
    for (const [path, row] of [
      [`/v2/a/blobs/${digest}`, `links a@${digest}`],
      [`/v2/a/manifests/${digest}`, `manifests a@${digest}`],
    ] as const) {
      const store = new Store()
      store.fresh_ = new Wait()
      expect(ask(store, says('x'), path).calls, path).toEqual([])
      store.here.add(row)
      expect(ask(store, says('x'), path).calls, path).toEqual(['send x'])
    }
  })

  test('its HEAD waits: it would promise that it stays here', async () => {
    const store = new Store()
    store.here.add(`links a@${digest}`)
    store.fresh_ = new Wait()
    const { calls, done } = ask(store, says('x'), `/v2/a/blobs/${digest}`, 'HEAD')
    await turns()
    expect(calls).toEqual([])
    store.fresh_.reject(new RegistryError('LOG_SILENT'))
    await expect(done).rejects.toMatchObject({ kind: 'LOG_SILENT' })
  })

  test('a change that is refused here says that it was not done', async () => {
    for (const method of ['PUT', 'POST', 'PATCH', 'DELETE']) {
      const store = new Store()
      store.fresh_ = new Wait()
      const { calls, done } = ask(store, says('x'), '/v2/a/blobs/uploads/1-2', method)
      store.fresh_.reject(new RegistryError('LOG_SILENT'))
      const refusal = { kind: 'LOG_SILENT', detail: { outcome: 'not done' } }
      await expect(done, method).rejects.toMatchObject(refusal)
      expect(calls).toEqual([])
    }
  })

  test('its GET waits for the others only while they are heard of', async () => {
    const path = `/v2/a/blobs/${digest}`
    const store = new Store()
    store.here.add(`links a@${digest}`)
    store.settled_ = new Wait()
    const heard = ask(store, says('x'), path)
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(heard.calls).toEqual([])
    store.settled_.resolve()
    await heard.done
    expect(heard.calls).toEqual(['send x'])
    store.settled_ = new Wait()
    store.fresh_ = new Wait()
    const silent = ask(store, says('y'), path)
    await turns()
    expect(silent.calls).toEqual([])
    await silent.done
    expect(silent.calls).toEqual(['send y'])
    store.settled_.reject(new RegistryError('LOG_SILENT'))
    await ask(store, says('z'), path).done
  })

  test('health, metrics, log-ins, sessions and what a node says of itself wait for nothing', () => {
    for (const path of [
      '/admin/mesh',
      '/admin/status',
      '/health',
      '/livez',
      '/metrics',
      '/v2/',
      '/token',
      '/v2/a/blobs/uploads/id',
    ]) {
      const store = new Store()
      store.fresh_ = new Wait()
      store.settled_ = new Wait()
      expect(ask(store, says('x'), path).calls, path).toEqual(['send x'])
    }
  })

  test('rows that cannot be made new are an error, and the handler is not asked', async () => {
    const store = new Store()
    store.fresh_ = new Wait()
    let wasAsked = false
    const handler: Handler = () => {
      wasAsked = true
    }
    const { done } = ask(store, handler, '/v2/a/tags/list')
    store.fresh_.reject(new RegistryError('LOG_SILENT'))
    await expect(done).rejects.toMatchObject({ kind: 'LOG_SILENT' })
    expect(wasAsked).toBe(false)
  })
})

describe('while it is not known what is newest', () => {
  const silent = (): Store => {
    const store = new Store()
    store.fresh_ = new Wait()
    store.fresh_.reject(new RegistryError('LOG_SILENT'))
    store.fresh_.promise.catch(() => undefined)
    return store
  }

  test('tags and lists are served and marked where that is wanted', async () => {
    const stale = new StaleReads()
    for (const path of [
      '/v2/a/manifests/latest',
      '/v2/a/tags/list',
      `/v2/a/referrers/${digest}`,
      '/v2/_catalog',
    ]) {
      for (const method of ['GET', 'HEAD']) {
        const { calls, done } = ask(silent(), says('x'), path, method, stale)
        await done
        expect(calls, path).toEqual(['stale send x'])
      }
    }
    expect(stale.count).toBe(8)
  })

  test('a refusal is marked, too', async () => {
    const gone: Handler = () => {
      throw new RegistryError('MANIFEST_UNKNOWN', { detail: { tag: 'latest' } })
    }
    const { done } = ask(silent(), gone, '/v2/a/manifests/latest', 'GET', new StaleReads())
    const error = await done.then(
      () => undefined,
      (thrown: unknown) => thrown as RegistryError,
    )
    expect(error).toMatchObject({
      kind: 'MANIFEST_UNKNOWN',
      status: 404,
      detail: { tag: 'latest' },
    })
    expect(errorHeaders(error!)).toEqual([['Warning', '110 - "Response is Stale"']])
  })

  test('writes, promises and what is not here stay refused', async () => {
    for (const [method, path] of [
      ['PUT', '/v2/a/manifests/latest'],
      ['DELETE', '/v2/a/manifests/latest'],
      ['HEAD', `/v2/a/manifests/${digest}`],
      ['HEAD', `/v2/a/blobs/${digest}`],
      ['GET', `/v2/a/blobs/${digest}`],
      ['GET', `/v2/a/manifests/${digest}`],
      ['GET', '/admin/pins'],
    ] as const) {
      const { calls, done } = ask(silent(), says('x'), path, method, new StaleReads())
      await expect(done, path).rejects.toMatchObject({ kind: 'LOG_SILENT' })
      expect(calls).toEqual([])
    }
  })

  test('another fault is no reason to serve what may be old', async () => {
    const store = new Store()
    store.fresh_ = new Wait()
    store.fresh_.reject(new RegistryError('BUSY'))
    const { done } = ask(store, says('x'), '/v2/a/tags/list', 'GET', new StaleReads())
    await expect(done).rejects.toMatchObject({ kind: 'BUSY' })
  })

  test('what the others may not show yet is marked when they are not heard of', async () => {
    const store = new Store()
    store.settled_ = new Wait()
    const { calls, done } = ask(store, says('x'), '/v2/a/tags/list', 'GET', new StaleReads())
    await turns()
    expect(calls).toEqual([])
    store.settled_.reject(new RegistryError('LOG_SILENT'))
    await done
    expect(calls).toEqual(['stale send x'])
  })
})

describe('after', () => {
  test('an answer rests on its own path, and waits for that', () => {
    for (const [path, rests] of [
      ['/v2/a/b/manifests/latest', 'a/b:latest'],
      [`/v2/a/blobs/${digest}`, `a:${digest}`],
      ['/v2/a/tags/list', 'a'],
      [`/v2/a/referrers/${digest}`, 'a'],
      ['/v2/_catalog', ''],
      ['/admin/pins', ''],
    ] as const) {
      const store = new Store()
      const { calls, isDone } = ask(store, says('x'), path)
      expect([calls, isDone], path).toEqual([['send x'], true])
      expect(store.asked, path).toContain(`settled ${rests}`)
    }
  })

  const forms: readonly (readonly [string, Handler, readonly string[]])[] = [
    ['a small answer', (_, response) => response.send(ok, 'x'), ['send x']],
    ['a head', (_, response) => response.sendHead(ok, 3), ['head']],
    ['a stream', (_, response) => response.stream(ok, {} as ByteSource), ['stream']],
    [
      'a body of unknown length',
      async (_, response) => {
        response.startChunked(ok)
        await response.write('1')
        await response.write('2')
        response.end()
      },
      ['chunked', 'write 1', 'write 2', 'end'],
    ],
  ]
  test.each(forms)('nothing of %s is sent before', async (_name, handler, expected) => {
    const store = new Store()
    store.settled_ = new Wait()
    const { calls, done } = ask(store, handler, '/v2/a/tags/list')
    await turns()
    expect(calls).toEqual([])
    store.settled_.resolve()
    await done
    await turns()
    expect(calls).toEqual(expected)
  })

  test('an answer that may not be given is an error with nothing sent, and its source is closed', async () => {
    const store = new Store()
    store.settled_ = new Wait()
    let closed = 0
    const source = {
      close: () => {
        closed += 1
      },
    } as unknown as ByteSource
    const { calls, done } = ask(
      store,
      (_, response) => response.stream(ok, source),
      '/v2/a/tags/list',
    )
    store.settled_.reject(new RegistryError('LOG_SILENT'))
    await expect(done).rejects.toMatchObject({ kind: 'LOG_SILENT' })
    expect([calls, closed]).toEqual([[], 1])
  })

  test('of a change whose answer may not be given it is not known whether it was done', async () => {
    const store = new Store()
    store.settled_ = new Wait()
    const { calls, done } = ask(store, says('x'), '/v2/a/manifests/t', 'PUT')
    store.settled_.reject(new RegistryError('LOG_SILENT'))
    const refusal = { kind: 'LOG_SILENT', detail: { outcome: 'unknown' } }
    await expect(done).rejects.toMatchObject(refusal)
    expect(calls).toEqual([])
  })

  test('bytes of a row are kept as they were', async () => {
    const store = new Store()
    store.settled_ = new Wait()
    const bytes = Buffer.from('row')
    const { calls, done } = ask(
      store,
      (_, response) => response.send(ok, bytes),
      '/v2/a/manifests/t',
    )
    bytes.fill('x')
    store.settled_.resolve()
    await done
    expect(calls).toEqual(['send row'])
  })

  test('a refusal rests on the same rows, thrown or rejected', async () => {
    const refusal = new RegistryError('MANIFEST_UNKNOWN')
    for (const handler of [
      () => {
        throw refusal
      },
      () => Promise.reject(refusal),
    ] as const) {
      const store = new Store()
      store.settled_ = new Wait()
      let heard: unknown
      const { done } = ask(store, handler, '/v2/a/manifests/gone')
      done.catch((error: unknown) => {
        heard = error
      })
      await turns()
      expect(heard).toBeUndefined()
      store.settled_.resolve()
      await turns()
      expect(heard).toBe(refusal)
    }
  })

  test('to its handler, an answer that waits is begun', async () => {
    const store = new Store()
    store.settled_ = new Wait()
    const states: string[] = []
    const handler: Handler = (_, response) => {
      states.push(response.state)
      response.send(ok, 'x')
      states.push(response.state)
    }
    const { done } = ask(store, handler, '/v2/a/tags/list')
    expect(states).toEqual(['open', 'headersSent'])
    store.settled_.resolve()
    await done
  })
})
