/**
 * Three users of different rights, by the login of the pages: each sees what is theirs, and nothing that
 * the server would refuse. Over plain HTTP by the name of a host, as on a network without certificates.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { basic, htpasswd } from '../support/access.ts'
import { type RunningRegistry, startProcess } from '../support/start-registry.ts'
import { hasBrowser, openBrowser, WatchedPage } from './support/browser.ts'
import { Pusher } from './support/content.ts'

const users = { root: 'root-secret', alice: 'alice-secret', bob: 'bob-secret' }
const host = 'registry.test'

describe.skipIf(!hasBrowser)('rights', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fastregistry-browser-'))
  let registry: RunningRegistry
  let browser: Browser
  let base: string
  beforeAll(async () => {
    const file = join(folder, 'htpasswd')
    writeFileSync(file, htpasswd(users))
    const config = {
      auth: { type: 'htpasswd', htpasswd_file: file },
      access: [
        {
          repositories: ['**'],
          users: ['root'],
          actions: ['pull', 'push', 'delete', 'list', 'admin'],
        },
        {
          repositories: ['team/**'],
          users: ['alice'],
          actions: ['pull', 'push', 'delete', 'list'],
        },
        { repositories: ['team/app'], users: ['bob'], actions: ['pull', 'list'] },
      ],
      server: { hosts: [host] },
    }
    ;[registry, browser] = await Promise.all([startProcess({ config }), openBrowser(host)])
    base = `http://${host}:${registry.port}`
    await new Pusher(registry.url, basic('root', users.root)).content()
  })
  afterAll(async () => {
    await browser?.close()
    await registry?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const open = () => WatchedPage.open(browser, `${host}:${registry.port}`)
  const logIn = async (watched: WatchedPage, user: string, password: string) => {
    const { page } = watched
    await page.fill('input[name="user"]', user)
    await page.fill('input[name="password"]', password)
    await page.keyboard.press('Enter')
  }
  const names = (watched: WatchedPage) => watched.page.locator('.rows .row a').allInnerTexts()

  test('a wrong password is refused in words, and by no window of the browser', async () => {
    const watched = await open()
    const { page } = watched
    await watched.show(`${base}/ui/#/-/repositories`)
    await watched.expectAccessible('login')
    expect(watched.takeFaults()).toEqual([])
    await logIn(watched, 'alice', 'wrong')
    await page.waitForSelector('[role="alert"]')
    // The browser logs each answer of 401 by itself.
    expect(watched.takeFaults().filter((fault) => !fault.includes('401'))).toEqual([])
    await logIn(watched, 'alice', users.alice)
    await page.waitForSelector('.rows .row a')
    expect(page.url()).toBe(`${base}/ui/#/-/repositories`)
    await watched.close()
  })

  test.each([
    [
      'root',
      ['big/layers', 'hostile/names', 'library/base', 'team/app', 'team/worker'],
      true,
      true,
    ],
    ['alice', ['team/app', 'team/worker'], true, false],
    ['bob', ['team/app'], false, false],
  ] as const)('%s sees what is theirs', async (user, repositories, mayDelete, isAdmin) => {
    const watched = await open()
    const { page } = watched
    await watched.show(`${base}/ui/#/-/repositories`)
    await logIn(watched, user, users[user])
    await page.waitForSelector('.rows .row a')
    expect(await names(watched)).toEqual(repositories)
    expect(await page.innerText('.who .name')).toBe(user)
    await watched.show(`${base}/ui/#/`)
    expect(await page.locator('.tiles').count()).toBe(isAdmin ? 1 : 0)
    await watched.show(`${base}/ui/#/team/app`)
    await page.waitForSelector('.rows .row a')
    expect(await page.locator('.rows input[type="checkbox"]').count()).toBe(mayDelete ? 3 : 0)
    expect(await page.locator('button:has-text("Delete repository")').count()).toBe(isAdmin ? 1 : 0)
    for (const tab of ['', '?tab=attached', '?tab=config', '?tab=why', '?tab=tags']) {
      await watched.show(`${base}/ui/#/team/app:v1.10.0${tab}`)
      expect(await page.locator('.problem').count(), tab).toBe(0)
    }
    expect(await page.locator('.title button.danger').count()).toBe(mayDelete ? 1 : 0)
    expect(watched.takeFaults()).toEqual([])
    // What is not theirs is not there.
    if (user === 'bob') {
      await watched.show(`${base}/ui/#/team/worker`)
      await page.waitForSelector('.problem')
      await watched.expectAccessible('refused')
      watched.takeFaults()
    }
    await page.click('.who button')
    await page.waitForSelector('.login')
    await page.reload()
    await page.waitForSelector('.login')
    expect(watched.takeFaults()).toEqual([])
    await watched.close()
  })

  test('the cookie is kept for programs by nothing but the browser, and copying works without a clipboard', async () => {
    const watched = await open()
    const { page } = watched
    await watched.show(`${base}/ui/#/team/app:latest`)
    await logIn(watched, 'alice', users.alice)
    await page.waitForSelector('.pull')
    expect(await page.evaluate(() => [document.cookie, isSecureContext])).toEqual(['', false])
    await page.click('.pull .icon-button')
    await page.waitForSelector('.toast')
    await page.goto(`${base}/ui/#/-/repositories`)
    await page.focus('#search')
    await page.keyboard.press('Control+V')
    expect(await page.inputValue('#search')).toBe(`${host}:${registry.port}/team/app:latest`)
    expect(watched.takeFaults()).toEqual([])
    await watched.close()
  })

  test('a session that ends comes back to the same place', async () => {
    const watched = await open()
    const { page } = watched
    await watched.show(`${base}/ui/#/team/app`)
    await logIn(watched, 'alice', users.alice)
    await page.waitForSelector('.rows .row a')
    await watched.context.clearCookies()
    await page.click('button.sort:has-text("Size")')
    await page.waitForSelector('.login [role="status"]')
    await logIn(watched, 'alice', users.alice)
    await page.waitForSelector('.rows .row a')
    expect(page.url()).toContain('#/team/app')
    await watched.close()
  })
})
