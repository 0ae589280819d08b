/**
 * Every screen, in both themes, wide and narrow: no error, nothing that the policy stops, no other host,
 * nothing that axe-core finds. `FASTREGISTRY_PICTURES=FOLDER` keeps a picture of each.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningRegistry, startProcess } from '../support/start-registry.ts'
import { hasBrowser, NARROW, openBrowser, WatchedPage, WIDE } from './support/browser.ts'
import { Pusher } from './support/content.ts'

const SCREENS: readonly (readonly [name: string, fragment: string])[] = [
  ['home', '/'],
  ['repositories', '/-/repositories'],
  ['nothing found', '/-/repositories?q=zzz'],
  ['repository', '/team/app'],
  ['deleted', '/team/app?tab=deleted'],
  ['repository activity', '/team/app?tab=activity'],
  ['layers', '/team/app:v1.10.0'],
  ['attached', '/team/app:v1.10.0?tab=attached'],
  ['config', '/hostile/names:x?tab=config'],
  ['tags and past', '/team/app:v1.10.0?tab=tags'],
  ['why', '/team/app:v1.10.0?tab=why'],
  ['activity', '/-/activity'],
  ['clean-up', '/-/clean-up'],
  ['pins', '/-/clean-up?tab=pins'],
  ['mirrors', '/-/mirrors'],
  ['sync', '/-/sync'],
  ['signatures', '/-/signatures'],
  ['nodes', '/-/nodes'],
  ['usage', '/-/usage'],
  ['access', '/-/access'],
  ['system', '/-/system'],
]

/** Nothing answers there. */
const gone = 'http://127.0.0.1:9'

const config = {
  mirrors: [{ name: 'office', upstream: gone }],
  sync: {
    sources: [
      {
        name: 'vendor',
        type: 'registry',
        url: gone,
        repositories: ['vendor/app'],
        interval: '24h',
      },
    ],
  },
}

const amount = { blobs: 812, bytes: 9_812_373_811 }

/** What a node of a mesh answers: there is none here. */
const mesh = {
  cluster: 'office',
  member: 1,
  lead: 2,
  serving: true,
  visible: 4_120,
  members: [1, 2, 3].map((number) => ({
    number,
    name: `node-${number}`,
    state: number === 3 ? 'draining' : 'active',
    address: `10.0.0.${number}:5100`,
    zone: 'a',
    visible: 4_120 - number,
    present: true,
    serving: true,
    voter: true,
    copies: { owned: amount, lacking: { blobs: 0, bytes: 0 } },
  })),
}

/** The server of the test has not every feature: the screens are drawn as if it had. */
async function withAllFeatures({ page }: WatchedPage): Promise<void> {
  await page.route('**/admin/session', async (route) => {
    const answer = await route.fetch()
    const session = (await answer.json()) as { features: Record<string, boolean> }
    const { features } = session
    for (const name of ['access', 'mesh', 'signatures']) features[name] = true
    await route.fulfill({ response: answer, json: session })
  })
  await page.route('**/admin/mesh', (route) => route.fulfill({ json: mesh }))
}

const pictures = process.env['FASTREGISTRY_PICTURES']

describe.skipIf(!hasBrowser)('the screens', () => {
  let registry: RunningRegistry
  let browser: Browser
  beforeAll(async () => {
    ;[registry, browser] = await Promise.all([startProcess({ config }), openBrowser()])
    await new Pusher(registry.url).content()
  })
  afterAll(async () => {
    await browser?.close()
    await registry?.stop()
  })

  describe.each(['light', 'dark'] as const)('in the %s theme', (theme) => {
    test.each([
      ['wide', WIDE],
      ['narrow', NARROW],
    ] as const)('%s', async (width, size) => {
      const watched = await WatchedPage.open(browser, registry.address, { theme, size })
      await withAllFeatures(watched)
      for (const [name, fragment] of SCREENS) {
        await watched.show(`${registry.url}/ui/#${fragment}`)
        if (pictures !== undefined) {
          mkdirSync(pictures, { recursive: true })
          const path = join(pictures, `${name.replaceAll(' ', '-')}-${theme}-${width}.png`)
          await watched.page.screenshot({ path })
        }
        await watched.expectAccessible(`${name}, ${theme}, ${width}`)
        expect(watched.takeFaults(), name).toEqual([])
      }
      await watched.close()
    })
  })
})
