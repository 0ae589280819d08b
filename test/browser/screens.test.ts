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
]

const pictures = process.env['FASTREGISTRY_PICTURES']

describe.skipIf(!hasBrowser)('the screens', () => {
  let registry: RunningRegistry
  let browser: Browser
  beforeAll(async () => {
    ;[registry, browser] = await Promise.all([startProcess(), openBrowser()])
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
