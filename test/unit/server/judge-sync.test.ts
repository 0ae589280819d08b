/**
 * @module What a start would refuse of the sources of a synchronisation, found with its line before it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { ConfigError } from '../../../src/config/explain.ts'
import { judgeConfig } from '../../../src/server/judge/judge.ts'
import { Authority } from '../../support/certificates.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-judge-sync-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let count = 0
function file(content: string): string {
  count += 1
  const path = join(folder, `file-${count}`)
  writeFileSync(path, content)
  return path
}

const secret = file('secret\n')
const empty = file('\n')
const authority = new Authority(folder)

/** Sources from line 3 on, one a line. The refusal without the name of the file, or nothing. */
async function judge(sources: readonly string[], more = ''): Promise<string[]> {
  const items = sources.map((keys, index) => `    - { name: s${index}, ${keys} }\n`).join('')
  const path = file(`sync:\n  sources:\n${items}storage: { path: "${folder}/store" }\n${more}`)
  const error = await judgeConfig({ file: path }).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error === undefined) return []
  expect(error).toBeInstanceOf(ConfigError)
  return (error as ConfigError).message.split('\n').map((line) => line.replace(`${path}:`, ''))
}

const url = 'url: "https://a.test"'
const app = `${url}, repositories: [team/app]`
const mirror = 'mirrors: [{ name: docker.io, upstream: "https://m.test" }]\n'

describe('a file', () => {
  test('that is right is taken', async () => {
    expect(
      await judge([
        `${app}, token_file: ${secret}, hook_secret_file: ${secret}, ca: ${authority.cert}`,
        `${url}, repositories: [b/c], username: u, password_file: ${secret}`,
      ]),
    ).toEqual([])
  })

  test.each([
    ['token_file: /none', 'token_file: /none cannot be read (ENOENT)'],
    [`token_file: ${empty}`, `token_file: ${empty} is empty`],
    [`robot_account: r, robot_token_file: ${empty}`, `robot_token_file: ${empty} is empty`],
    [`username: u, password_file: ${empty}`, `password_file: ${empty} is empty`],
    [`hook_secret_file: ${empty}`, `hook_secret_file: ${empty} is empty`],
    [`ca: ${secret}`, `ca: ${secret} has no certificate`],
  ])('is not: %s', async (keys, message) => {
    const [line, ...more] = await judge([app, `${url}, repositories: [b/c], ${keys}`])
    expect(more).toEqual([])
    expect(line).toMatch(/^4:\d+: /)
    expect(line).toContain(`sync.sources[1].${message}`)
  })
})

describe('a schedule', () => {
  test.each([
    ['schedule: "99 * * * *"'],
    ['schedule: "0 0 30 2 *"'],
    ['schedule: "0 0 30 2 *", timezone: Europe/Berlin'],
  ])('that never comes: %s', async (keys) => {
    const [line, ...more] = await judge([`${app}, ${keys}`])
    expect(more).toEqual([])
    expect(line).toMatch(/^3:\d+: sync\.sources\[0\]\.schedule: not a cron schedule that ever runs/)
  })
})

describe('a place in a mirror', () => {
  test.each([
    ['destination: docker.io/copy, repositories: [a/b]', 'destination: docker.io/copy lies'],
    ['destination: docker.io, organizations: ["*"]', 'destination: docker.io lies'],
    ['organizations: [a, docker.io]', 'organizations[1]: docker.io lies'],
    ['repositories: [docker.io/b]', 'repositories[0]: docker.io/b lies'],
    ['repositories: ["docker.io/library/*"]', 'repositories[0]: docker.io/library lies'],
    ['strip: "a/", repositories: [a/docker.io/b]', 'repositories[0]: docker.io/b lies'],
  ])('%s', async (keys, message) => {
    const [line, ...more] = await judge([`${url}, ${keys}`], mirror)
    expect(more).toEqual([])
    expect(line).toContain(`sync.sources[0].${message} in the mirror docker.io`)
    // The same elsewhere is nobody's.
    expect(await judge([`${url}, ${keys}`])).toEqual([])
  })

  test.each([
    ['organizations: ["*"]'],
    ['repositories: ["**"]'],
    ['destination: copy, organizations: [docker.io]'],
    ['strip: "docker.io/", organizations: [docker.io]'],
    ['repositories: [docker.io2/b]'],
  ])('is not %s', async (keys) => {
    expect(await judge([`${url}, ${keys}`], mirror)).toEqual([])
  })
})

describe('a local name', () => {
  test.each([
    [[app, app]],
    [[app, `${url}, strip: "x/", repositories: [a/b, x/team/app]`]],
    [[app, `${url}, destination: team, repositories: [a/b, app]`]],
  ])('of two sources is refused to the second: %j', async (sources) => {
    const [line, ...more] = await judge(sources)
    expect(more).toEqual([])
    expect(line).toMatch(/^4:\d+: sync\.sources\[1\]\.repositories\[\d\]: /)
    expect(line).toContain('would be team/app here, which team/app of the source s0 is')
  })

  test('of two repositories of a source is refused to the second', async () => {
    const [line, ...more] = await judge([`${url}, strip: "x/", repositories: [x/a/b, a/b]`])
    expect(more).toEqual([])
    expect(line).toContain(
      'repositories[1]: a/b would be a/b here, which x/a/b of the source s0 is',
    )
  })

  test('of none is refused', async () => {
    const [line] = await judge([`${url}, strip: team/app, repositories: [team/app]`])
    expect(line).toContain('repositories[0]: "team/app" has no local name')
  })

  test.each([
    [[app, `${app}, destination: copy`]],
    [[app, `${url}, repositories: ["team/*"]`]],
    [[app, `${app}, exclude_repositories: ["*/app"]`]],
    [[`${url}, repositories: [team/app, team/app]`]],
  ])('that is not known to be wanted twice is taken: %j', async (sources) => {
    expect(await judge(sources)).toEqual([])
  })
})
