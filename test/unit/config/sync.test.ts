/**
 * @module Sources of synchronisation: every key with its default, the words of the first FastRegistry, and
 * what is refused, with its line.
 */
import { describe, expect, test } from 'vitest'
import { load, problems } from './load-text.ts'

const minimal = {
  name: 'a',
  previously: undefined,
  type: 'registry',
  url: 'https://a.test',
  api: undefined,
  caFile: undefined,
  proxy: undefined,
  token: undefined,
  account: undefined,
  organizations: [],
  repositories: ['team/app'],
  excludeRepositories: [],
  destination: '',
  strip: '',
  tags: { include: [], exclude: [], semver: undefined, newest: 0, maxAgeMs: 0, min: 0 },
  platforms: [],
  referrers: { signatures: true, sboms: true, others: true },
  referrersEveryMs: 6 * 3_600_000,
  mode: 'once',
  schedule: undefined,
  timezone: undefined,
  windows: [],
  intervalMs: 300_000,
  fullEveryMs: 86_400_000,
  timeoutMs: 0,
  concurrency: 5,
  bytesPerSecond: 0,
  requestsPerSecond: 0,
  onChange: 'follow',
  overwrites: false,
  prune: { isEnabled: false, maxPercent: 20, removesUnselected: false },
  hookSecretFile: undefined,
}

const text = (keys: string, base = 'name: a, url: "https://a.test", repositories: [team/app]') =>
  `sync:\n  sources:\n    - { ${base}${keys === '' ? '' : `, ${keys}`} }\n`

async function one(keys: string, base?: string) {
  return (await load(text(keys, base))).sync.sources[0]!
}

describe('a source', () => {
  test('has its defaults', async () => {
    expect(await one('')).toEqual(minimal)
  })

  test('has every key', async () => {
    const { sync } = await load(
      `
sync:
  concurrency: 20
  sources:
    - name: upstream-quay
      previously: old-quay
      type: quay
      url: https://quay.example.com/
      token: \${QUAY_TOKEN}
      robot_account: myorg+robot
      robot_token_file: /run/secrets/robot
      organizations: [myorg]
      repositories: [app, other/app, "third/x[0-9]"]
      exclude_repositories: ["*/scratch-*", "tmp-*"]
      destination: "mirror/quay/"
      strip: "myorg/"
      tags: { include: ["v*"], exclude: ["*-rc*"], semver: ">=1.2 <2", newest: 5, max_age: 30d, min: 1 }
      platforms: [linux/amd64, linux/arm/v7, ""]
      referrers: true
      referrers_every: 1h
      mode: continuous
      schedule: "*/15 * * * *"
      timezone: Europe/Berlin
      windows: ["22:00-06:00", "12:00-24:00"]
      interval: 10m
      full_every: 12h
      timeout: 4h
      concurrency: 10
      bytes_per_second: 10MiB
      requests_per_second: 4
      on_change: keep
      overwrite: true
      prune: { enabled: true, max_percent: 10, unselected: true }
      hook_secret_file: /run/secrets/hook
      ca: /etc/ca.pem
      proxy: http://proxy.test:3128
`,
      { QUAY_TOKEN: 'secret' },
    )
    expect(sync).toEqual({
      concurrency: 20,
      sources: [
        {
          name: 'upstream-quay',
          previously: 'old-quay',
          type: 'quay',
          url: 'https://quay.example.com/',
          api: undefined,
          caFile: '/etc/ca.pem',
          proxy: 'http://proxy.test:3128',
          token: { kind: 'text', value: 'secret' },
          account: {
            username: 'myorg+robot',
            secret: { kind: 'file', value: '/run/secrets/robot' },
            isRobot: true,
          },
          organizations: ['myorg'],
          repositories: ['myorg/app', 'other/app', 'third/x[0-9]'],
          excludeRepositories: ['*/scratch-*', 'myorg/tmp-*'],
          destination: 'mirror/quay',
          strip: 'myorg/',
          tags: {
            include: ['v*'],
            exclude: ['*-rc*'],
            semver: '>=1.2 <2',
            newest: 5,
            maxAgeMs: 30 * 86_400_000,
            min: 1,
          },
          platforms: ['linux/amd64', 'linux/arm/v7', ''],
          referrers: { signatures: true, sboms: true, others: true },
          referrersEveryMs: 3_600_000,
          mode: 'continuous',
          schedule: '*/15 * * * *',
          timezone: 'Europe/Berlin',
          windows: [
            { fromMinute: 1320, untilMinute: 360 },
            { fromMinute: 720, untilMinute: 1440 },
          ],
          intervalMs: 600_000,
          fullEveryMs: 12 * 3_600_000,
          timeoutMs: 4 * 3_600_000,
          concurrency: 10,
          bytesPerSecond: 10 * 1024 * 1024,
          requestsPerSecond: 4,
          onChange: 'keep',
          overwrites: true,
          prune: { isEnabled: true, maxPercent: 10, removesUnselected: true },
          hookSecretFile: '/run/secrets/hook',
        },
      ],
    })
  })

  test.each([
    ['include_tags: "v*"', ['v*'], []],
    ['include_tags: ["v*", "w*"], exclude_tags: "*-rc"', ['v*', 'w*'], ['*-rc']],
    ['tags: { include: "v*" }', ['v*'], []],
    ['include_tags: "", exclude_tags: []', [], []],
  ])('of the first FastRegistry: %s', async (keys, include, exclude) => {
    expect((await one(keys)).tags).toMatchObject({ include, exclude })
  })

  test.each([
    ['sync_signatures: false', { signatures: false, sboms: true, others: true }],
    ['sync_sboms: false', { signatures: true, sboms: false, others: true }],
    [
      'sync_signatures: false, sync_sboms: false',
      { signatures: false, sboms: false, others: false },
    ],
    ['referrers: false', { signatures: false, sboms: false, others: false }],
    ['referrers: false, sync_signatures: true', { signatures: true, sboms: false, others: false }],
    ['referrers: true, sync_sboms: false', { signatures: true, sboms: false, others: true }],
  ])('copies what is attached: %s', async (keys, referrers) => {
    expect((await one(keys)).referrers).toEqual(referrers)
  })

  test.each([
    ['', 'once'],
    ['schedule: ""', 'once'],
    ['schedule: "*/5 * * * *"', 'continuous'],
    ['interval: 1m', 'continuous'],
    ['mode: manual', 'manual'],
    ['mode: once', 'once'],
    ['mode: continuous', 'continuous'],
  ])('with "%s" runs %s', async (keys, mode) => {
    expect((await one(keys)).mode).toBe(mode)
  })

  test.each([
    ['token: t', { kind: 'text', value: 't' }, undefined],
    ['token_file: /t', { kind: 'file', value: '/t' }, undefined],
    ['token: "", token_file: ""', undefined, undefined],
    [
      'robot_account: r, robot_token: t',
      undefined,
      { username: 'r', secret: { kind: 'text', value: 't' }, isRobot: true },
    ],
    [
      'username: u, password_file: /p',
      undefined,
      { username: 'u', secret: { kind: 'file', value: '/p' }, isRobot: false },
    ],
  ])('has the credential of %s', async (keys, token, account) => {
    expect(await one(keys)).toMatchObject({ token, account })
  })

  test.each([
    ['organizations: [o], repositories: [a]', ['o/a']],
    ['organizations: [o], repositories: ["*"]', ['o/*']],
    ['organizations: [o], repositories: [p/a]', ['p/a']],
    ['organizations: [o, p], repositories: [a]', ['a']],
    ['organizations: ["*"], repositories: [a]', ['a']],
    ['repositories: a', ['a']],
  ])('takes names without a slash for those of its one organization: %s', async (keys, wanted) => {
    expect((await one(keys, 'name: a, url: "https://a.test"')).repositories).toEqual(wanted)
  })

  test('has an address of the Hub, for Docker Hub alone', async () => {
    const base = 'name: a, url: "https://registry-1.docker.io", organizations: [library]'
    expect((await one('type: dockerhub', base)).api).toBe('https://hub.docker.com')
    expect((await one('type: dockerhub, api: "https://hub.test"', base)).api).toBe(
      'https://hub.test',
    )
  })
})

describe('is refused', () => {
  const bare = 'name: a, url: "https://a.test"'

  test.each([
    ['conurrency: 1', 'sync.sources[0]: unknown key "conurrency"; did you mean "concurrency"?'],
    ['tags: { newst: 1 }', 'sync.sources[0].tags: unknown key "newst"; did you mean "newest"?'],
    [
      'type: zot',
      'sync.sources[0].type: expected quay, registry, fastregistry, harbor or dockerhub',
    ],
    ['tags: { include: ["[a"] }', 'sync.sources[0].tags.include[0]: pattern [a: "[" without "]"'],
    ['include_tags: "{v"', 'sync.sources[0].include_tags: pattern {v: braces do not match'],
    ['exclude_repositories: ["/(/"]', 'sync.sources[0].exclude_repositories[0]: pattern /(/:'],
    ['tags: { semver: latest }', 'sync.sources[0].tags.semver: not a range of versions'],
    ['schedule: "* * *"', 'sync.sources[0].schedule: expected a cron schedule of five fields'],
    ['schedule: "* * * * *", timezone: Berlin', 'sync.sources[0].timezone: expected a time zone'],
    ['windows: ["22-06"]', 'sync.sources[0].windows[0]: expected a window such as "22:00-06:00"'],
    ['windows: ["22:00-22:00"]', 'sync.sources[0].windows[0]: a window has a length'],
    ['windows: ["00:00-24:01"]', 'sync.sources[0].windows[0]: a day ends at 24:00'],
    ['windows: ["24:00-01:00"]', 'sync.sources[0].windows[0]: expected a window'],
    ['platforms: [amd64]', 'sync.sources[0].platforms[0]: expected a platform'],
    ['destination: /mirror', 'sync.sources[0].destination: expected the beginning'],
    ['strip: "/x"', 'sync.sources[0].strip: expected the beginning of upstream names'],
    ['prune: { max_percent: 0 }', 'sync.sources[0].prune.max_percent: expected a whole number'],
    ['concurrency: 0', 'sync.sources[0].concurrency: expected a whole number from 1 to 1000'],
    ['interval: 9s', 'sync.sources[0].interval: expected a duration from 10s to 365d'],
    ['organizations: ["A"]', 'sync.sources[0].organizations[0]: expected an organization'],
    // What contradicts.
    ['token: a, token_file: /b', 'sync.sources[0].token_file: token says it already; keep one'],
    ['robot_account: r', 'sync.sources[0].robot_account: needs robot_token or robot_token_file'],
    ['robot_token_file: /t', 'sync.sources[0].robot_token_file: needs robot_account'],
    ['username: u', 'sync.sources[0].username: needs password or password_file'],
    ['password: p', 'sync.sources[0].password: needs username'],
    [
      'username: u, password: p, robot_account: r, robot_token: t',
      'sync.sources[0].username: contradicts robot_account; keep one of them',
    ],
    [
      'token_file: /t, username: u, password: p',
      'sync.sources[0].token_file: contradicts username: type registry has one credential',
    ],
    ['api: "https://x"', 'sync.sources[0].api: only type dockerhub has it, this is registry'],
    ['prune: { unselected: true }', 'sync.sources[0].prune.unselected: needs prune.enabled'],
    ['include_tags: a, tags: { include: b }', 'sync.sources[0].include_tags: tags.include says'],
    ['exclude_tags: a, tags: { exclude: b }', 'sync.sources[0].exclude_tags: tags.exclude says'],
    ['tags: { newest: 2, min: 3 }', 'sync.sources[0].tags.min: is more than tags.newest (2)'],
    ['mode: once, schedule: "* * * * *"', 'sync.sources[0].schedule: is for mode continuous'],
    ['mode: manual, interval: 1m', 'sync.sources[0].interval: is for mode continuous'],
    ['mode: manual, windows: ["1:00-2:00"]', 'sync.sources[0].windows[0]: expected a window'],
    ['mode: once, windows: ["01:00-02:00"]', 'sync.sources[0].windows: is for mode continuous'],
    ['timezone: UTC', 'sync.sources[0].timezone: needs schedule or windows'],
  ])('%s', async (keys, line) => {
    const [found, ...more] = await problems(text(keys))
    expect(more).toEqual([])
    expect(found).toMatch(/^config\.yaml:3:\d+: /)
    expect(found).toContain(line)
  })

  test.each([
    ['', 'sync.sources[0]: expected organizations or repositories'],
    [
      'type: quay, organizations: ["*"]',
      'organizations[0]: all organizations of a Quay come in a later version',
    ],
    [
      'type: dockerhub, organizations: ["*"]',
      'organizations[0]: Docker Hub lists no organizations',
    ],
    [
      'type: harbor, organizations: [a/b]',
      'organizations[0]: an organization of type harbor has no slash',
    ],
    ['type: quay, repositories: [app]', 'repositories[0]: has no organization; write it'],
    [
      'type: quay, repositories: ["*/app"]',
      'repositories[0]: type quay lists an organization at a time',
    ],
    ['repositories: [Team/App]', 'repositories[0]: expected a repository such as "myorg/app"'],
  ])('the selection %s', async (keys, line) => {
    const [found, ...more] = await problems(text(keys, bare))
    expect(more).toEqual([])
    expect(found).toContain(line)
  })

  test('two of one name, with the line of the second', async () => {
    const source = (more: string) => `    - { ${bare}, repositories: [a]${more} }\n`
    expect(await problems(`sync:\n  sources:\n${source('')}${source('')}`)).toEqual([
      'config.yaml:4:15: sync.sources[1].name: another source has the name a',
    ])
  })

  test('a former name that is in use, or taken twice', async () => {
    const source = (name: string, previously: string) =>
      `    - { name: ${name}, url: "https://a.test", repositories: [a], previously: ${previously} }\n`
    expect(
      await problems(
        `sync:\n  sources:\n${source('a', 'old')}${source('b', 'a')}${source('c', 'old')}`,
      ),
    ).toEqual([
      expect.stringContaining('sync.sources[1].previously: the source a is still there'),
      expect.stringContaining('sync.sources[2].previously: another source goes on with old'),
    ])
  })

  test('without its secrets in the refusal', async () => {
    const found = await problems(text('token: hunter2, robot_account: hunter2, conurrency: 1'))
    expect(found.join('\n')).not.toContain('hunter2')
  })
})
