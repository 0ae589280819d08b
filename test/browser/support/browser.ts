/**
 * @module Debian's chromium for tests of the pages, and a watch over each page: what it logs as an error,
 * what its policy stops, and whom it asks. Without the program the tests are skipped.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'

const program = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path))

/** Whether there is a browser to test with; says so once where there is none. */
export const hasBrowser = program !== undefined
if (!hasBrowser) console.log('SKIPPED: chromium is not installed (test/browser/setup.sh)')

/** Time for a step on a busy machine, ms. */
const patienceMs = 12_000

export const WIDE = { width: 1_280, height: 800 }
export const NARROW = { width: 360, height: 740 }

/** `hosts` are further names that lead to this machine. */
export function openBrowser(...hosts: readonly string[]): Promise<Browser> {
  const rules = hosts.map((host) => `MAP ${host} 127.0.0.1`).join(',')
  return chromium.launch({
    executablePath: program!,
    args: ['--no-sandbox', '--disable-gpu', ...(rules ? [`--host-resolver-rules=${rules}`] : [])],
  })
}

interface PageOptions {
  readonly theme?: 'light' | 'dark'
  readonly size?: { readonly width: number; readonly height: number }
  readonly locale?: string
}

export class WatchedPage {
  readonly page: Page
  readonly context: BrowserContext
  /** Everything that must not be: errors, stopped scripts, strangers. */
  readonly faults: string[] = []
  readonly requests: string[] = []

  private constructor(page: Page, context: BrowserContext) {
    this.page = page
    this.context = context
  }

  static async open(browser: Browser, host: string, options: PageOptions = {}) {
    const { theme = 'light', size = WIDE, locale = 'en' } = options
    const context = await browser.newContext({ viewport: size, colorScheme: theme, locale })
    const page = await context.newPage()
    page.setDefaultTimeout(patienceMs)
    const watched = new WatchedPage(page, context)
    await page.exposeFunction('reportFault', (fault: string) => watched.faults.push(fault))
    await page.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        const report = (globalThis as unknown as { reportFault: (fault: string) => void })
          .reportFault
        report(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`)
      })
    })
    page.on('console', (message) => {
      if (message.type() === 'error') {
        watched.faults.push(`console: ${message.text()} ${message.location().url}`)
      }
    })
    page.on('pageerror', (error) => watched.faults.push(`error: ${error.message}`))
    page.on('request', (request) => {
      const url = new URL(request.url())
      watched.requests.push(`${request.method()} ${url.pathname}${url.search}`)
      if (url.host !== host) watched.faults.push(`asks ${url.href}`)
    })
    return watched
  }

  /** Goes there by its address; resolves when nothing loads any more. */
  async show(url: string): Promise<void> {
    await this.page.goto(url)
    await this.settled()
  }

  async settled(): Promise<void> {
    await this.page.waitForSelector('h1')
    await this.page.waitForFunction(
      () => document.querySelector('.loading, [aria-busy="true"]') === null,
    )
  }

  /** Fails on everything that axe-core finds. By the debugger: the policy would stop a script tag. */
  async expectAccessible(what: string): Promise<void> {
    const session = await this.context.newCDPSession(this.page)
    const evaluate = async (expression: string) => {
      const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
        expression,
        awaitPromise: true,
        returnByValue: true,
      })
      if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails))
      return result.value as unknown
    }
    await evaluate(`typeof axe === 'undefined' ? (() => {${axeSource()}\n})() : 0; 0`)
    const found = await evaluate(
      `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
        violations.map(({ id, nodes }) => id + ': ' +
          nodes.slice(0, 4).map((it) => it.html.slice(0, 160) + ' ' + it.any.concat(it.all).map((one) => one.message).join('; ').slice(0, 200)).join(' | ')))`,
    )
    await session.detach()
    expect(found, what).toEqual([])
  }

  /** What must not be, since the last time. */
  takeFaults(): string[] {
    return this.faults.splice(0)
  }

  close(): Promise<void> {
    return this.context.close()
  }
}

let axe: string | undefined

function axeSource(): string {
  axe ??= readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  return axe
}
