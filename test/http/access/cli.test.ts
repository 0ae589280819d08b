/**
 * @module The commands of access control, as their users run them: in a process of their own, beside
 * a server that follows what they change.
 */
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { parseAccessTokens } from '../../../src/auth/access-tokens.ts'
import { secretFilePaths } from '../../../src/auth/secret-file.ts'
import { htpasswd } from '../../support/access.ts'
import { lastLine, runCli } from '../../support/cli.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-cli-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let count = 0

/** A configuration of its own for each test; `text` is what stands below `auth.htpasswd_file`. */
function setUp(users: string, text = '') {
  count += 1
  const own = join(folder, String(count))
  mkdirSync(own)
  const paths = {
    users: join(own, 'htpasswd'),
    config: join(own, 'config.yaml'),
    storage: join(own, 'storage'),
  }
  if (users !== '') writeFileSync(paths.users, users)
  const auth = `auth:\n  type: htpasswd\n  htpasswd_file: ${paths.users}\n${text}`
  writeFileSync(paths.config, `storage: { path: ${paths.storage} }\n${auth}`)
  return paths
}

const rules = `  groups: { ci: [bob] }
access:
  - { repositories: ["**"], users: [root], actions: [pull, push, delete, list, admin] }
  - { repositories: ["home/\${user}/*"], users: [alice, bob], actions: [pull, push] }
  - { repositories: ["ci/*"], groups: [ci], actions: [pull] }
  - { repositories: ["public/*"], anonymous: true, networks: ["10.0.0.0/8"], actions: [pull, list] }
`

describe('htpasswd', () => {
  test('adds, verifies, replaces and removes a user', async () => {
    const { users, config } = setUp('')
    const run = (action: string, user: string, input = '') =>
      runCli(['htpasswd', action, user, '--config', config], input)
    expect(await run('add', 'alice', 'first\n')).toMatchObject({ code: 0, stderr: '' })
    expect(readFileSync(users, 'utf8')).toMatch(/^alice:\$2[aby]\$10\$[./A-Za-z0-9]{53}\n$/)
    expect(statSync(users).mode & 0o777).toBe(0o640)
    expect((await run('verify', 'alice', 'first\n')).code).toBe(0)
    expect((await run('verify', 'alice', 'second\n')).code).toBe(1)
    expect((await run('verify', 'bob', 'first\n')).code).toBe(1)
    expect((await run('add', 'bob', 'other\n')).code).toBe(0)
    expect((await run('add', 'alice', 'second\n')).code).toBe(0)
    expect((await run('verify', 'alice', 'second\n')).code).toBe(0)
    expect(readFileSync(users, 'utf8').match(/^\w+(?=:)/gm)).toEqual(['alice', 'bob'])
    expect((await run('remove', 'alice')).code).toBe(0)
    const again = await run('remove', 'alice')
    expect(again.code).toBe(1)
    expect(again.stderr).toContain('there is no user "alice"')
    expect(readFileSync(users, 'utf8')).toMatch(/^bob:/)
  })

  test('keeps mode, link and owner of the file; two at once lose nothing', async () => {
    const { users } = setUp(htpasswd({ root: 'root-secret' }))
    const target = `${users}-target`
    writeFileSync(target, readFileSync(users), { mode: 0o600 })
    rmSync(users)
    symlinkSync(target, users)
    const added = await Promise.all(
      ['a', 'b', 'c'].map((name) => runCli(['htpasswd', 'add', users, name], 'secret\n')),
    )
    expect(added.map(({ code }) => code)).toEqual([0, 0, 0])
    expect(
      readFileSync(target, 'utf8')
        .match(/^\w+(?=:)/gm)!
        .sort(),
    ).toEqual(['a', 'b', 'c', 'root'])
    expect(statSync(target).mode & 0o777).toBe(0o600)
  })

  test('refuses what would be no password', async () => {
    const { users } = setUp('')
    for (const [input, reason] of [
      ['\n', 'empty'],
      [`${'x'.repeat(73)}\n`, 'first 72 bytes'],
    ] as const) {
      const { code, stderr } = await runCli(['htpasswd', 'add', users, 'alice'], input)
      expect(code).toBe(1)
      expect(stderr).toContain(reason)
    }
    expect((await runCli(['htpasswd', 'add', users, 'a:b'], 'x\n')).code).toBe(2)
  })
})

describe('token', () => {
  test('create prints the token alone on its last line; list and revoke know its id', async () => {
    const { config, storage } = setUp(htpasswd({ alice: 'alice-secret' }))
    const what = ['--repositories', 'team/*,ci/app', '--actions', 'pull,push', '--expires', '30d']
    const run = (...args: string[]) => runCli(['token', ...args, '--config', config])
    const made = await run('create', '--user', 'alice', ...what)
    expect(made).toMatchObject({ code: 0, stderr: '' })
    const [, id, secret = ''] = /^frt_([0-9a-f]{12})_([\w-]{43})$/.exec(lastLine(made))!
    const file = secretFilePaths(storage).accessTokens
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readFileSync(file, 'utf8')).not.toContain(secret)
    expect(parseAccessTokens(readFileSync(file, 'utf8'))).toMatchObject([
      { id, user: 'alice', repositories: ['team/*', 'ci/app'], actions: ['pull', 'push'] },
    ])
    const listed = await run('list')
    expect(listed.stdout).toContain(`${id}\talice\tteam/*,ci/app\tpull,push\t`)
    expect(listed.stdout).not.toContain(secret)
    expect((await run('revoke', id!)).code).toBe(0)
    expect((await run('list')).stdout).not.toContain(id)
    expect(await run('revoke', id!)).toMatchObject({ code: 1 })
  })

  test('create refuses users that there are not, and words that mean nothing', async () => {
    const { config } = setUp(htpasswd({ alice: 'alice-secret' }))
    const create = (user: string, repositories: string, actions: string, expires: string) =>
      runCli([
        ...['token', 'create', '--config', config, '--user', user],
        ...['--repositories', repositories, '--actions', actions, '--expires', expires],
      ])
    expect((await create('mallory', 'team/*', 'pull', '30d')).stderr).toContain('no user "mallory"')
    expect((await create('alice', 'TEAM', 'pull', '30d')).code).toBe(2)
    expect((await create('alice', 'team/*', 'write', '30d')).stderr).toContain(
      'pull, push, sign, delete',
    )
    expect((await create('alice', 'team/*', 'pull', '0s')).code).toBe(2)
  })
})

describe('check-config', () => {
  test.each([
    ['root', 'admin', '/admin', 0, 'rule 1'],
    ['alice', 'push', 'home/alice/app', 0, 'rule 2'],
    ['alice', 'delete', 'home/alice/app', 1, 'rule 2'],
    ['alice', 'pull', 'home/bob/app', 1, 'no rule matches'],
    ['bob', 'pull', 'ci/app', 0, 'rule 3'],
    ['alice', 'pull', 'ci/app', 1, 'no rule matches'],
    ['anonymous', 'pull', 'public/app', 1, 'no rule matches'],
  ])('--explain %s %s %s', async (user, action, repository, code, words) => {
    const { config } = setUp(htpasswd({ alice: 'alice-secret' }), rules)
    const asked = await runCli(['check-config', config, '--explain', user, action, repository])
    expect(asked.code).toBe(code)
    expect(asked.stdout).toContain(`${code === 0 ? 'allowed' : 'refused'}`)
    expect(asked.stdout).toContain(words)
  })

  test('--explain takes the network into account with --from', async () => {
    const { config } = setUp(htpasswd({ alice: 'alice-secret' }), rules)
    const question = ['--explain', 'anonymous', 'pull', 'public/app', '--from', '10.1.2.3']
    const asked = await runCli(['check-config', '--config', config, ...question])
    expect(asked).toMatchObject({ code: 0 })
    expect(asked.stdout).toContain('allowed by rule 4')
  })

  test('reads the users’ file: each line that is wrong, and how to mend it', async () => {
    const lines = ['root:$2y$10$tooshort', 'alice:$apr1$abc$def', 'no colon', 'bob:{SHA}x']
    const broken = setUp(`# users\n${lines.join('\n')}\n`)
    const { code, stderr, stdout } = await runCli(['check-config', broken.config])
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toContain(`${broken.users}:2: the password of "root" is a damaged bcrypt hash`)
    expect(stderr).toContain(`${broken.users}:3: the password of "alice" is an MD5 hash`)
    expect(stderr).toContain('set it again: fastregistry htpasswd add FILE alice')
    expect(stderr).toContain(`${broken.users}:4: expected "name:hash"`)
    expect(stderr).toContain(`${broken.users}:5: the password of "bob" is a SHA-1 hash`)
    const good = setUp(htpasswd({ alice: 'alice-secret' }))
    expect(await runCli(['check-config', good.config])).toMatchObject({ code: 0, stderr: '' })
    const none = setUp('')
    expect((await runCli(['check-config', none.config])).stderr).toContain('cannot be read')
  })
})
