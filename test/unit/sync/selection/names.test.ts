/**
 * @module Where a repository lies here, and whose a name is that two of them want.
 */
import { describe, expect, test } from 'vitest'
import { parseRepositoryName, type RepositoryName } from '../../../../src/registry/name.ts'
import { unwrap } from '../../../../src/registry/result.ts'
import { mapName, NameOwners } from '../../../../src/sync/selection/names.ts'

describe('the local name', () => {
  test.each([
    ['team/app', '', '', 'team/app'],
    ['team/app', '', 'mirror/quay', 'mirror/quay/team/app'],
    ['team/app', 'team/', 'mirror', 'mirror/app'],
    ['team/app', 'team', 'mirror', 'mirror/app'],
    ['team/app', 'team', '', 'app'],
    // A prefix of the text, not of its components.
    ['team-a/app', 'team-', '', 'a/app'],
    ['teams/app', 'team', '', 's/app'],
    ['other/app', 'team/', 'mirror', 'mirror/other/app'],
    ['team/app', 'team/app', 'apps/app', 'apps/app'],
  ])('of %s without "%s" behind "%s" is %s', (upstream, strip, destination, name) => {
    expect(mapName({ strip, destination }, upstream)).toEqual({ kind: 'local', name })
  })

  test.each([
    ['Team/App', '', ''],
    ['team//app', '', ''],
    ['../app', '', ''],
    ['team/app\n', '', ''],
    ['', '', 'mirror'],
    ['a'.repeat(256), '', ''],
    // Good upstream, none here.
    ['team/app', 'team/app', ''],
    ['team/a-b', 'team/a', ''],
    ['a'.repeat(250), '', 'mirror'],
  ])('of %j without "%s" behind "%s" is none', (upstream, strip, destination) => {
    const mapped = mapName({ strip, destination }, upstream)
    expect(mapped.kind).toBe('bad-name')
    // A line for the log: short, without a line break of a stranger.
    if (mapped.kind === 'bad-name') expect(mapped.message).toMatch(/^"[^\n]{0,90}" \w[\w ]+$/)
  })
})

describe('a local name', () => {
  const name = (text: string): RepositoryName => unwrap(parseRepositoryName(text))
  const of = (source: string, repository = 'x') => ({ source, repository })

  test('is of whom claims it first, and again', () => {
    const owners = new NameOwners(['a', 'b'])
    expect(owners.claim(name('n'), of('b'))).toEqual({ kind: 'owned' })
    expect(owners.claim(name('n'), of('b'))).toEqual({ kind: 'owned' })
    expect(owners.claim(name('m'), of('a'))).toEqual({ kind: 'owned' })
    expect(owners.ownerOf(name('n'))).toEqual(of('b'))
  })

  test('is refused to a later source, and taken by an earlier one', () => {
    const owners = new NameOwners(['a', 'b', 'c'])
    owners.claim(name('n'), of('b'))
    const refused = { kind: 'collision', owner: of('b') }
    expect(owners.claim(name('n'), of('c'))).toEqual(refused)
    expect(owners.claim(name('n'), of('a'))).toEqual({ kind: 'owned' })
    expect(owners.claim(name('n'), of('b'))).toEqual({ kind: 'collision', owner: of('a') })
  })

  test('is refused to a second repository of the source', () => {
    const owners = new NameOwners(['a'])
    owners.claim(name('app'), of('a', 'team/app'))
    expect(owners.claim(name('app'), of('a', 'app'))).toEqual({
      kind: 'collision',
      owner: of('a', 'team/app'),
    })
  })

  test('of a source that is no longer configured is free', () => {
    const owners = new NameOwners(['a'])
    owners.claim(name('n'), of('gone'))
    expect(owners.claim(name('n'), of('a'))).toEqual({ kind: 'owned' })
    expect(owners.claim(name('n'), of('gone'))).toMatchObject({ kind: 'collision' })
  })

  test('is released by its owner alone', () => {
    const owners = new NameOwners(['a', 'b'])
    owners.claim(name('n'), of('a'))
    owners.release(name('n'), of('b'))
    owners.release(name('n'), of('a', 'y'))
    expect(owners.claim(name('n'), of('b'))).toMatchObject({ kind: 'collision' })
    owners.release(name('n'), of('a'))
    expect(owners.claim(name('n'), of('b'))).toEqual({ kind: 'owned' })
  })
})
