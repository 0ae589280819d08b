/**
 * @module What the judge says where the native engine or mapped files cannot be had.
 */
import { afterEach, expect, test, vi } from 'vitest'
import { loadConfigText } from '../../../src/config/load.ts'
import { judgeEngine } from '../../../src/server/judge/parts.ts'

const state = vi.hoisted(() => ({ uws: '', libc: '' }))
vi.mock('../../../src/http/engine/uws/loader.ts', () => ({
  loadUws: () => (state.uws === '' ? { ok: true } : { ok: false, reason: state.uws }),
}))
vi.mock('../../../src/runtime/libc.ts', () => ({
  loadLibc: () => (state.libc === '' ? {} : { unavailable: state.libc }),
}))
afterEach(() => Object.assign(state, { uws: '', libc: '' }))

const judge = async (yaml: string) => judgeEngine(await loadConfigText(yaml, 'test.yaml'))

test.each(['there is no binary for Node 23', 'koffi does not load: no such file'])(
  'engine: uws is refused where %s; the others are not',
  async (reason) => {
    state.uws = reason
    expect(await judge('server: { engine: uws }')).toEqual([
      { key: 'server.engine', message: expect.stringContaining(reason) },
    ])
    for (const engine of ['auto', 'node']) {
      expect(await judge(`server: { engine: ${engine} }`)).toEqual([])
    }
  },
)

test('reader: map is refused where files cannot be mapped; the others are not', async () => {
  state.libc = 'koffi does not load'
  expect(await judge('storage: { reader: map }')).toEqual([
    { key: 'storage.reader', message: expect.stringContaining('koffi does not load') },
  ])
  for (const reader of ['auto', 'file']) {
    expect(await judge(`storage: { reader: ${reader} }`)).toEqual([])
  }
})

test('what loads is not spoken of', async () => {
  expect(await judge('server: { engine: uws }\nstorage: { reader: map }')).toEqual([])
})
