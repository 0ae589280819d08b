/** @module The TLS files that a configuration names. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { load, problems } from './load-text.ts'

const folder = mkdtempSync(join(tmpdir(), 'config-tls-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('TLS files', () => {
  test('both readable are taken', async () => {
    const [cert, key] = [join(folder, 'a.crt'), join(folder, 'a.key')]
    writeFileSync(cert, 'cert')
    writeFileSync(key, 'key')
    const config = await load(`server: { tls: { cert: ${cert}, key: ${key} } }`)
    expect(config.server.tls).toEqual({ certFile: cert, keyFile: key, sni: [] })
  })

  test('one without the other is refused', async () => {
    const cert = join(folder, 'b.crt')
    writeFileSync(cert, 'cert')
    expect(await problems(`server: { tls: { cert: ${cert} } }`)).toEqual([
      'config.yaml:1:24: server.tls.cert: server.tls.key is missing; give both files or neither',
    ])
    expect(await problems(`server: { tls: { key: ${cert} } }`)).toEqual([
      'config.yaml:1:23: server.tls.key: server.tls.cert is missing; give both files or neither',
    ])
  })
})
