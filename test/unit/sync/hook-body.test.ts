/**
 * @module What the bodies of hooks mean, and what is made of bodies that mean harm.
 */
import { describe, expect, test } from 'vitest'
import { hookChangesMax, readHookBody } from '../../../src/sync/hook-body.ts'

const app = 'org/app'

describe('a body of', () => {
  test.each([
    [
      'Quay',
      {
        name: 'app',
        repository: app,
        namespace: 'org',
        docker_url: 'quay.example/org/app',
        homepage: 'https://quay.example/repository/org/app',
        updated_tags: ['v1', 'v2', 'v1'],
      },
      [
        { repository: app, tag: 'v1' },
        { repository: app, tag: 'v2' },
      ],
    ],
    [
      'Harbor',
      {
        type: 'PUSH_ARTIFACT',
        occur_at: 1,
        operator: 'admin',
        event_data: {
          resources: [{ digest: 'sha256:0', tag: 'v1', resource_url: 'harbor.example/org/app:v1' }],
          repository: { name: 'app', namespace: 'org', repo_full_name: app },
        },
      },
      [{ repository: app, tag: 'v1' }],
    ],
    [
      'Docker Hub',
      { push_data: { tag: 'v1' }, repository: { repo_name: app } },
      [{ repository: app, tag: 'v1' }],
    ],
    [
      'Distribution',
      {
        events: [
          { action: 'push', target: { repository: app, tag: 'v1' } },
          { action: 'pull', target: { repository: app, tag: 'v2' } },
          { action: 'push', target: { repository: app, digest: 'sha256:0' } },
          { action: 'delete', target: { repository: 'org/other', tag: 'v3' } },
        ],
      },
      [{ repository: app, tag: 'v1' }, { repository: app }, { repository: 'org/other', tag: 'v3' }],
    ],
    ['a script', { repository: app, tag: 'v1' }, [{ repository: app, tag: 'v1' }]],
    ['a script without a tag', { repository: app }, [{ repository: app }]],
  ])('%s', (_name, body, changes) => {
    expect(readHookBody(body)).toEqual(changes)
  })
})

test('a pull of Harbor changes nothing', () => {
  const event_data = { repository: { repo_full_name: app }, resources: [{ tag: 'v1' }] }
  expect(readHookBody({ type: 'PULL_ARTIFACT', event_data })).toEqual([])
})

describe('what is none', () => {
  test.each([[undefined], [null], [[]], ['text'], [{}], [{ repository: 7 }], [{ tag: 'v1' }]])(
    '%j is not understood',
    (body) => {
      expect(readHookBody(body)).toBeUndefined()
    },
  )
})

describe('what means harm', () => {
  const deep = JSON.parse(`${'{"events":['.repeat(5_000)}${']}'.repeat(5_000)}`) as unknown
  test.each([
    ['a name that is no repository', { repository: '../../etc', tag: 'v1' }],
    ['a name with a line feed', { repository: 'org/app\nx', tag: 'v1' }],
    ['a name without an end', { repository: 'a'.repeat(200_000) }],
    ['fields of wrong types', { push_data: { tag: {} }, repository: { repo_name: [app] } }],
    ['events of wrong types', { events: [null, 1, 'x', [], { action: 'push', target: 5 }] }],
    ['a deep body', deep],
    ['no repository', { event_data: { resources: 'x', repository: null } }],
  ])('%s changes nothing', (_name, body) => {
    expect(readHookBody(body)).toEqual([])
  })

  test('a tag that is none means the repository', () => {
    expect(readHookBody({ repository: app, tag: 'v1/../x' })).toEqual([{ repository: app }])
    expect(readHookBody({ repository: app, updated_tags: [{}] })).toEqual([{ repository: app }])
  })

  test('more than can be looked at is cut', () => {
    const many = Array.from({ length: 20 * hookChangesMax }, (_, index) => `v${index}`)
    expect(readHookBody({ repository: app, updated_tags: many })).toHaveLength(hookChangesMax)
    const events = many.map((tag) => ({ action: 'push', target: { repository: app, tag } }))
    expect(readHookBody({ events })).toHaveLength(hookChangesMax)
  })

  test('keys of the prototype are no fields', () => {
    const body = JSON.parse('{"__proto__": {"repository": "org/app"}, "constructor": 1}') as unknown
    expect(readHookBody(body)).toBeUndefined()
  })
})
