/**
 * @module Vitest's global setup: builds `dist/` once before any suite, because worker threads load
 * from there (Node 20 cannot run `.ts` in a worker). `FASTREGISTRY_BUILT=1` says that it is built.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export default function buildOnce(): void {
  if (process.env['FASTREGISTRY_BUILT'] === '1') return
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const tsc = fileURLToPath(
    new URL('../../node_modules/typescript-compiler/bin/tsc', import.meta.url),
  )
  // What was moved or deleted since must not be found any more.
  rmSync(fileURLToPath(new URL('../../dist', import.meta.url)), { recursive: true, force: true })
  const build = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.json'], {
    cwd: root,
    encoding: 'utf8',
  })
  if (build.status !== 0) throw new Error(`the build before the tests failed:\n${build.stdout}`)
  const pages = spawnSync(process.execPath, ['src/ui/build.mjs'], { cwd: root, encoding: 'utf8' })
  if (pages.status !== 0) throw new Error(`the build of the pages failed:\n${pages.stderr}`)
}
