/**
 * The pages below a path of a proxy, as operators put them beside other things: nginx, where it is
 * installed.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningRegistry, startProcess } from '../support/start-registry.ts'
import { hasBrowser, openBrowser, WatchedPage } from './support/browser.ts'
import { Pusher } from './support/content.ts'

const path = `${process.env['PATH']}:/usr/sbin:/sbin`
const hasNginx = spawnSync('nginx', ['-v'], { env: { ...process.env, PATH: path } }).status === 0
if (!hasNginx) console.log('SKIPPED: nginx is not installed (test/proxies/setup.sh)')

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })
}

const configOf = (folder: string, port: number, registry: string) => `
daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
pid ${folder}/pid;
error_log stderr;
events {}
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n  ')}
  server {
    listen 127.0.0.1:${port};
    location /registry/ {
      proxy_pass http://${registry}/;
      proxy_set_header Host $http_host;
      proxy_buffering off;
    }
  }
}
`

describe.skipIf(!hasBrowser || !hasNginx)('below a path of nginx', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fastregistry-nginx-'))
  let registry: RunningRegistry
  let browser: Browser
  let port = 0
  let nginx: ReturnType<typeof spawn>
  beforeAll(async () => {
    ;[registry, browser, port] = await Promise.all([startProcess(), openBrowser(), freePort()])
    await new Pusher(registry.url).content()
    const file = join(folder, 'nginx.conf')
    mkdirSync(join(folder, 'client_body'))
    writeFileSync(file, configOf(folder, port, registry.address))
    nginx = spawn('nginx', ['-e', 'stderr', '-c', file], {
      env: { ...process.env, PATH: path },
      stdio: 'ignore',
    })
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${port}/registry/livez`).catch(() => undefined)
      if (answer?.ok === true) break
    }
  })
  afterAll(async () => {
    await browser?.close()
    nginx?.kill('SIGTERM')
    await registry?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  test('the front leads to them, and every screen works', async () => {
    const host = `127.0.0.1:${port}`
    const watched = await WatchedPage.open(browser, host)
    const { page } = watched
    await watched.show(`http://${host}/registry/`)
    expect(page.url()).toBe(`http://${host}/registry/ui/`)
    for (const fragment of ['/-/repositories', '/team/app', '/team/app:latest', '/-/activity']) {
      await watched.show(`http://${host}/registry/ui/#${fragment}`)
      expect(await page.locator('.problem').count(), fragment).toBe(0)
    }
    expect(watched.requests.filter((one) => !one.includes(' /registry/'))).toEqual([])
    expect(watched.takeFaults()).toEqual([])
    await watched.close()
  })
})
