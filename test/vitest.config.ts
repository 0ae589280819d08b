import { defineConfig } from 'vitest/config'

/**
 * Suites of real processes, timers and disks get a second attempt in CI, so that a moment without processor time
 * does not stop a change. `.ci/run` lists what passed at its second attempt: each of those is a fault to repair.
 */
const attemptsMore = (name: string) =>
  process.env['CI'] !== undefined && !['tidy', 'unit', 'fuzz', 'fault'].includes(name) ? 1 : 0

/** One project a suite, so that `npm test` runs the fast ones and `.ci/run` the rest by name. */
const suite = (name: string, include: string[], seconds = 30, setupFiles: string[] = []) => ({
  test: {
    name,
    include,
    setupFiles,
    retry: attemptsMore(name),
    testTimeout: seconds * 1000,
    hookTimeout: seconds * 1000,
    pool: 'forks' as const,
  },
})

/** Leaves the histories of the stores for `test/solo/history.test.ts`. */
const recorder =
  process.env['FASTREGISTRY_RECORD'] === undefined ? [] : ['test/support/record-history.ts']

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    globalSetup: ['test/support/build-once.ts'],
    projects: [
      suite('tidy', ['test/tidy.test.ts', 'test/tidy/*.test.ts']),
      suite('unit', [
        'test/unit/**/*.test.ts',
        'test/property/**/*.test.ts',
        'test/ports/**/*.test.ts',
      ]),
      suite('http', ['test/http/**/*.test.ts'], 60, recorder),
      suite('fuzz', ['test/fuzz/**/*.test.ts'], 120),
      suite('crash', ['test/crash/**/*.test.ts'], 600),
      suite('fault', ['test/fault/**/*.test.ts'], 60),
      suite('hostile', ['test/hostile/**/*.test.ts'], 120),
      suite('mesh', ['test/mesh/**/*.test.ts'], 120),
      suite('solo', ['test/solo/**/*.test.ts']),
      suite('clients', ['test/clients/**/*.test.ts'], 600),
      suite('proxies', ['test/proxies/**/*.test.ts'], 120),
      suite('browser', ['test/browser/**/*.test.ts'], 90),
      suite('conformance', ['test/conformance/**/*.test.ts'], 300),
    ],
  },
})
