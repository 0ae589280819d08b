/**
 * @module Which repositories are copied, why, and what has to be listed for it.
 */
import { describe, expect, test } from 'vitest'
import {
  type RepositoryFilter,
  RepositorySelection,
} from '../../../../src/sync/selection/repositories.ts'

const selection = (some: Partial<RepositoryFilter>) =>
  new RepositorySelection({
    organizations: [],
    repositories: [],
    excludeRepositories: [],
    ...some,
  })

describe('a repository', () => {
  test.each<[string, Partial<RepositoryFilter>, string, string | undefined]>([
    ['team/app', { organizations: ['team'] }, 'organization', 'team'],
    ['team/a/b', { organizations: ['team'] }, 'organization', 'team'],
    ['teams/app', { organizations: ['team'] }, 'not-selected', undefined],
    ['team', { organizations: ['team'] }, 'not-selected', undefined],
    ['any/thing', { organizations: ['*'] }, 'organization', '*'],
    ['single', { organizations: ['*'] }, 'organization', '*'],
    ['team/app', { repositories: ['team/app'] }, 'repository', 'team/app'],
    ['team/app', { repositories: ['x', 'team/a*'] }, 'repository', 'team/a*'],
    ['team/app', { repositories: ['/te.m\\/.*/'] }, 'repository', '/te.m\\/.*/'],
    ['team/app/x', { repositories: ['team/*'] }, 'not-selected', undefined],
    // The union of both.
    ['ci/app', { organizations: ['team'], repositories: ['ci/*'] }, 'repository', 'ci/*'],
    ['team/app', { organizations: ['team'], repositories: ['ci/*'] }, 'organization', 'team'],
    ['other/app', { organizations: ['team'], repositories: ['ci/*'] }, 'not-selected', undefined],
    // An exclusion wins.
    [
      'team/scratch-1',
      { organizations: ['team'], excludeRepositories: ['x', '*/scratch-*'] },
      'excluded',
      '*/scratch-*',
    ],
    ['a/b', { repositories: ['a/b'], excludeRepositories: ['**'] }, 'excluded', '**'],
    ['a/b', { excludeRepositories: ['**'] }, 'not-selected', undefined],
  ])('%s of %o: %s', (name, filter, rule, by) => {
    const isSelected = rule === 'organization' || rule === 'repository'
    const all = selection(filter)
    expect(all.judge(name)).toEqual({ isSelected, rule, ...(by === undefined ? {} : { by }) })
    expect(all.isSelected(name)).toBe(isSelected)
  })
})

test.each<[Partial<RepositoryFilter>, readonly string[], readonly string[], boolean]>([
  [{ repositories: ['a/b', 'a/c', 'a/b'] }, ['a/b', 'a/c'], [], false],
  [{ organizations: ['a', 'b'] }, [], ['a', 'b'], false],
  [{ organizations: ['*'], repositories: ['a/b', 'c/*'] }, [], [], true],
  [{ repositories: ['a/*', 'a/b', 'c/d'] }, ['c/d'], ['a'], false],
  [{ organizations: ['a'], repositories: ['a/b', 'a/c/*', 'd/e/*'] }, [], ['a', 'd/e'], false],
  [{ repositories: ['*/app', 'c/d'] }, [], [], true],
  [{ repositories: ['/a.*/'] }, [], [], true],
  // What is excluded is not asked for.
  [{ repositories: ['a/b', 'a/c'], excludeRepositories: ['*/c'] }, ['a/b'], [], false],
])('%o has to list', (filter, named, organizations, isWhole) => {
  expect(selection(filter).listing).toEqual({ named, organizations, isWhole })
})
