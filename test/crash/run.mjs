#!/usr/bin/env node
/**
 * @module `npm run test:crash -- [--cycles N] [--seed S] [vitest's options]`: the crash suite, for as
 * many cycles and from the seed that are given.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const variables = { '--cycles': 'FASTREGISTRY_CRASH_CYCLES', '--seed': 'FASTREGISTRY_CRASH_SEED' }
const environment = { ...process.env }
const rest = []
const words = process.argv.slice(2).flatMap((word) => word.split(/(?<=^--(?:cycles|seed))=/))
for (let index = 0; index < words.length; index += 1) {
  const variable = variables[words[index]]
  if (variable === undefined) {
    rest.push(words[index])
  } else {
    index += 1
    environment[variable] = words[index]
  }
}
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.config.ts']
const { status } = spawnSync(process.execPath, [...vitest, '--project', 'crash', ...rest], {
  cwd: root,
  env: environment,
  stdio: 'inherit',
})
process.exitCode = status ?? 1
