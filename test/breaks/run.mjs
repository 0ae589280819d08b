#!/usr/bin/env node
/**
 * @module Breaks the code on purpose, one promise at a time, in a copy of this checkout, and sees that
 * the test which guards the promise fails: `npm run test:breaks [-- 'PART OF A NAME' …]`. A test that
 * still passes is a test that guards nothing.
 *
 * `--minutes N [--seed TEXT]` tries as many as fit into that time, one of each file of cases first, in an
 * order that the seed decides (the day, when none is given); it says how many it left out.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { readBreaks } from './breaks.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const COPIED = [
  'src',
  'workers',
  'bench',
  'test',
  'package.json',
  'package-lock.json',
  'Dockerfile',
  'tsconfig.json',
  'README.md',
  'docs',
  'native-notes.md',
  'example-config.yaml',
]
const minutesMax = 6

const { values: options, positionals: wanted } = parseArgs({
  options: { minutes: { type: 'string' }, seed: { type: 'string' } },
  allowPositionals: true,
})
const { minutes, seed = new Date().toISOString().slice(0, 10) } = options
const deadline = Date.now() + Number(minutes ?? 24 * 60) * 60_000
const isWanted = ({ what }) => wanted.length === 0 || wanted.some((words) => what.includes(words))
const copy = mkdtempSync(join(tmpdir(), 'fastregistry-breaks-'))
process.once('exit', () => rmSync(copy, { recursive: true, force: true }))
for (const name of COPIED) cpSync(join(root, name), join(copy, name), { recursive: true })
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
// What a break leaves without a use is no fault of the break.
const settings = readFileSync(join(copy, 'tsconfig.json'), 'utf8')
writeFileSync(
  join(copy, 'tsconfig.json'),
  settings.replace(/"(noUnusedLocals|noUnusedParameters)": true/g, '"$1": false'),
)

let passed = 0
let failed = 0
let left = 0
const breaks = (await readBreaks()).filter(isWanted)
if (minutes !== undefined) console.log(`in the order of seed ${seed}`)
for (const entry of minutes === undefined ? breaks : inTurn(breaks)) {
  if (Date.now() > deadline) {
    left += 1
    continue
  }
  const verdict = attempt(entry)
  if (verdict === undefined) passed += 1
  else failed += 1
  console.log(`${verdict === undefined ? 'seen' : `NOT SEEN (${verdict})`}: ${entry.what}`)
}
if (left > 0) console.log(`${left} were not tried for want of time`)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

/** In the seed's order, a break of every area before the second of any. */
function inTurn(entries) {
  const weight = ({ what }) => createHash('sha256').update(`${seed} ${what}`).digest('hex')
  const areas = new Map()
  for (const entry of entries) areas.set(entry.area, [...(areas.get(entry.area) ?? []), entry])
  const placed = [...areas.values()].flatMap((area) =>
    area
      .toSorted((a, b) => (weight(a) < weight(b) ? -1 : 1))
      .map((entry, place) => ({ entry, place })),
  )
  return placed.toSorted((a, b) => a.place - b.place).map(({ entry }) => entry)
}

/** Undefined when the guard failed as it must; else what is wrong. */
function attempt({ file, find, replace, guard }) {
  const path = join(copy, file)
  const sound = readFileSync(path, 'utf8')
  if (sound.split(find).length !== 2) return `${file} does not hold the text to break, once`
  writeFileSync(
    path,
    sound.replace(find, () => replace),
  )
  try {
    const { project, file: test, env } = guard
    const run = spawnSync(
      process.execPath,
      [
        join(root, 'node_modules/vitest/vitest.mjs'),
        'run',
        '--config=test/vitest.config.ts',
        `--project=${project}`,
        '--bail=1',
        test,
      ],
      {
        cwd: copy,
        env: { ...process.env, ...env },
        encoding: 'utf8',
        timeout: minutesMax * 60_000,
        maxBuffer: 64 * 1024 * 1024,
      },
    )
    const output = `${run.stdout}${run.stderr}`
    if (run.status === 0) return 'its guard still passes'
    // A copy that does not compile, or a run without a failed test, proves nothing.
    return /Tests .*\d+ failed/.test(output) ? undefined : output.slice(-1500)
  } finally {
    writeFileSync(path, sound)
  }
}
