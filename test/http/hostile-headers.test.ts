/**
 * @module Headers, queries and names made to be slow, through the front door: whatever one request says,
 * another caller is answered at once. The headers are those that the source reads, found in it.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { basic, htpasswd } from '../support/access.ts'
import { describeRegistry } from '../support/in-process.ts'
import { fetchRaw } from '../support/raw-http.ts'
import { sha256 } from '../support/registry-client.ts'
import { readSourceFiles } from '../support/source-tree.ts'

const DIGEST = sha256('blob')

/** Longest turn of the event loop that one request may cost, ms; the machine has other work. */
const turnMsMax = 50

/** Room for the rest of the head, below 64 KiB. */
const lengthBytes = 60_000

const HEADERS = [
  ...new Set(
    readSourceFiles('src')
      .filter(({ path }) => /^src\/(?:http|admin|auth|mirror|server)/.test(path))
      .flatMap(({ text }) =>
        [...text.matchAll(/\bheader\('([a-z-]+)'\)/g)].map(([, name]) => name!),
      ),
  ),
].toSorted()

const BEGINNINGS = ['', 'Basic ', 'Bearer ', 'bytes=', '"', 'for=']
const CHARACTERS = [' ', '\t', ',', '<', '"', 'a', '-', '0', '=', '(', '.', ':']

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-headers-'))
const users = join(folder, 'htpasswd')
writeFileSync(users, htpasswd({ alice: 'secret' }))

const config = {
  server: { trusted_proxies: ['127.0.0.1'] },
  auth: { type: 'htpasswd', htpasswd_file: users },
  access: [
    { repositories: ['**'], users: ['alice'], actions: ['pull', 'push', 'list', 'admin'] },
    { repositories: ['open/**'], anonymous: true, actions: ['pull', 'push'] },
  ],
}

test('the headers are found in the source', () => {
  expect(HEADERS).toEqual(
    expect.arrayContaining(['authorization', 'range', 'content-range', 'host']),
  )
})

describeRegistry('a hostile request', { config }, (registry) => {
  /** Longest time that the event loop was away while `work` ran, ms. */
  const longestTurn = async (work: () => Promise<unknown>): Promise<number> => {
    let longest = 0
    let last = performance.now()
    const timer = setInterval(() => {
      const now = performance.now()
      longest = Math.max(longest, now - last)
      last = now
    }, 1)
    await work()
    clearInterval(timer)
    return Math.max(longest, performance.now() - last)
  }

  describe.each(HEADERS)('%s', (name) => {
    test('holds nobody up', async () => {
      const { client, port } = registry()
      const blob = await client.request('POST', `/v2/open/a/blobs/uploads/?digest=${DIGEST}`, {
        body: 'blob',
        headers: basic('alice', 'secret'),
      })
      expect([201, 401]).toContain(blob.status)
      const targets = [
        ['GET', '/v2/'],
        ['GET', `/v2/open/a/blobs/${DIGEST}`],
        ['GET', '/token?scope=repository:open/a:pull'],
        ['PATCH', '/v2/open/a/blobs/uploads/none'],
        ['GET', '/admin/session'],
      ] as const
      for (const beginning of BEGINNINGS) {
        for (const character of CHARACTERS) {
          const value = `${beginning}${character.repeat(lengthBytes)}!`
          const ask = async () => {
            for (const [method, target] of targets) {
              await fetchRaw(port, method, target, [`${name}: ${value}`]).catch(() => undefined)
            }
          }
          let took = await longestTurn(ask)
          for (let again = 0; took > turnMsMax && again < 3; again += 1) {
            took = Math.min(took, await longestTurn(ask))
          }
          expect(took, `${name}: ${value.slice(0, 12)}…`).toBeLessThan(turnMsMax)
        }
      }
    })
  })

  test('nothing of all this was a fault', () => {
    expect(registry().faults).toEqual([])
  })
})
