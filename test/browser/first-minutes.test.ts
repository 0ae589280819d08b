/**
 * The first ten minutes of a stranger: the server starts, its pages say how the first push goes, the
 * image is there, goes, and comes back. By keyboard alone where it is about the pages. In German too.
 */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningRegistry, startProcess } from '../support/start-registry.ts'
import { hasBrowser, openBrowser, WatchedPage } from './support/browser.ts'
import { Pusher } from './support/content.ts'

describe.skipIf(!hasBrowser)('the first minutes', () => {
  let registry: RunningRegistry
  let browser: Browser
  beforeAll(async () => {
    ;[registry, browser] = await Promise.all([startProcess(), openBrowser()])
  })
  afterAll(async () => {
    await browser?.close()
    await registry?.stop()
  })

  /** What a client would do that was given the commands of the page. */
  const obey = async (commands: readonly string[]) => {
    const [, target] = /^docker tag \S+ (\S+)$/.exec(commands.find((one) => / tag /.test(one))!)!
    expect(commands.at(-1)).toBe(`docker push ${target}`)
    const [host, rest] = [
      target!.slice(0, target!.indexOf('/')),
      target!.slice(target!.indexOf('/') + 1),
    ]
    const [repository, tag] = rest.split(':')
    await new Pusher(`http://${host}`).image(repository!, [tag!])
    return { repository: repository!, tag: tag! }
  }
  const isThere = (repository: string, tag: string) =>
    fetch(`${registry.url}/v2/${repository}/manifests/${tag}`, { method: 'HEAD' }).then(
      ({ status }) => status === 200,
    )
  const focused = (page: Page) =>
    page.evaluate(
      () => document.activeElement?.getAttribute('role') ?? document.activeElement?.tagName,
    )

  test('three commands, a look, a deletion, and the way back', async () => {
    const watched = await WatchedPage.open(browser, registry.address)
    const { page } = watched
    await watched.show(`${registry.url}/`)
    expect(page.url()).toBe(`${registry.url}/ui/`)
    await watched.expectAccessible('empty')
    const commands = await page.locator('.commands code').allInnerTexts()
    expect(commands).toHaveLength(3)
    const { repository, tag } = await obey(commands)
    // By keyboard: to the repositories, into the first one, its first tag picked, and gone.
    await page.keyboard.press('g')
    await page.keyboard.press('r')
    await page.waitForSelector('.rows .row a')
    await page.focus('.list')
    await page.keyboard.press('Enter')
    await page.waitForSelector('.rows .row input')
    await page.focus('.list')
    await page.keyboard.press('x')
    await page.waitForSelector('.row.picked')
    await page.focus('.pick-bar .danger')
    await page.keyboard.press('Enter')
    await page.waitForSelector('dialog[open]')
    await watched.expectAccessible('dialog')
    await page.keyboard.press('Escape')
    await page.waitForSelector('dialog', { state: 'detached' })
    // The focus is where it was.
    expect(await page.evaluate(() => document.activeElement?.className)).toBe('danger')
    await page.keyboard.press('Enter')
    await page.waitForSelector('dialog[open]')
    await page.focus('dialog .danger')
    await page.keyboard.press('Enter')
    await page.waitForSelector('.undo-bar')
    expect(await isThere(repository, tag)).toBe(false)
    await watched.expectAccessible('the bar')
    await page.focus('.undo-bar .strong')
    await page.keyboard.press('Enter')
    await page.waitForSelector('.undo-bar', { state: 'detached' })
    expect(await isThere(repository, tag)).toBe(true)
    await page.waitForSelector('.rows .row a')
    // Once more, and back from the list of what happened.
    await page.focus('.list')
    await page.keyboard.press('x')
    await page.focus('.pick-bar .danger')
    await page.keyboard.press('Enter')
    await page.focus('dialog .danger')
    await page.keyboard.press('Enter')
    await page.waitForSelector('.undo-bar')
    await page.keyboard.press('g')
    await page.keyboard.press('a')
    await page.waitForSelector('.event-list button')
    await page.focus('.event-list button')
    await page.keyboard.press('Enter')
    await page.waitForSelector('.toast')
    expect(await isThere(repository, tag)).toBe(true)
    expect(await focused(page)).not.toBeNull()
    expect(watched.takeFaults(), watched.requests.slice(-30).join('\n')).toEqual([])
    await watched.close()
  })

  test('in German for those who read German, and in the theme that was chosen', async () => {
    const watched = await WatchedPage.open(browser, registry.address, { locale: 'de-DE' })
    const { page } = watched
    await watched.show(`${registry.url}/ui/#/-/repositories`)
    expect(await page.innerText('h1')).toBe('Repositorys')
    expect(await page.getAttribute('html', 'lang')).toBe('de')
    await page.keyboard.press('?')
    await page.waitForSelector('dialog .keys')
    await page.keyboard.press('Escape')
    await page.click('.top .icon-button')
    await page.selectOption('dialog select >> nth=0', 'dark')
    await page.selectOption('dialog select >> nth=1', 'en')
    await page.waitForSelector('h1:has-text("Repositories")')
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe(
      'rgb(20, 23, 28)',
    )
    await page.reload()
    await page.waitForSelector('h1:has-text("Repositories")')
    expect(await page.getAttribute('html', 'data-theme')).toBe('dark')
    expect(watched.takeFaults()).toEqual([])
    await watched.close()
  })
})
