/**
 * @module What a start would refuse of the keys that signatures are verified with, found with its line before it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { ConfigError } from '../../../src/config/explain.ts'
import { judgeConfig } from '../../../src/server/judge/judge.ts'
import { makeSigner } from '../../support/signing.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-judge-signing-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let count = 0
function file(content: string): string {
  count += 1
  const path = join(folder, `file-${count}`)
  writeFileSync(path, content)
  return path
}

const { pem } = makeSigner()

/** The refusal without the name of the file, a line each; warnings where there is none. */
async function judge(
  keys: readonly object[],
  policies: readonly object[] = [],
  more: object = {},
): Promise<string[]> {
  const storage = { path: join(folder, 'store') }
  const path = file(stringify({ signing: { keys, policies }, storage, ...more }))
  let error: unknown
  try {
    const { warnings } = await judgeConfig({ file: path })
    return warnings.map((line) => line.replace(`${path}:`, ''))
  } catch (reason) {
    error = reason
  }
  expect(error).toBeInstanceOf(ConfigError)
  return (error as ConfigError).message.split('\n').map((line) => line.replace(`${path}:`, ''))
}

test('keys that can be used are taken', async () => {
  const keys = [
    { name: 'release', pem },
    { name: 'a-team.2', path: file(makeSigner('ed25519').pem) },
  ]
  expect(await judge(keys)).toEqual([])
  const [line] = await judge([...keys, { name: 'twin', path: file(pem) }])
  expect(line).toContain('signing.keys[2]: "twin" is the same key as "release"')
})

test.each([
  [{ name: 'k', path: '/none' }, 'keys[0].path: /none cannot be read (ENOENT)'],
  [{ name: 'k', path: file('nonsense') }, 'expected one public key in PEM'],
  [{ name: 'k', pem: 'nonsense' }, 'keys[0].pem: expected one public key in PEM'],
  [{ name: 'k', pem, path: '/a' }, 'expected exactly one of path (a file) and pem'],
  [{ name: 'k' }, 'expected exactly one of path (a file) and pem'],
  [{ name: 'A b', pem }, 'expected a name of lower-case letters'],
  [{ name: 'k', pme: pem }, 'unknown key "pme"; did you mean "pem"?'],
])('%j is refused', async (key, message) => {
  const lines = await judge([key])
  expect(lines.join('\n')).toContain(message)
  expect(lines[0]).toMatch(/^\d+:\d+: signing\.keys/)
})

test('two keys of one name are refused', async () => {
  const [line] = await judge([
    { name: 'k', pem },
    { name: 'k', pem },
  ])
  expect(line).toContain('keys[1].name: "k" is the name of the key [0] too')
})

const key = { name: 'release', pem }
const signed = { signature: { by: [{ key: 'release' }] } }
const policy = { name: 'prod', repositories: ['prod/**'], require: [signed] }

test('a policy that can be used is taken', async () => {
  const where = [
    { path: '/predicate/a~1b/0', equals: true },
    { path: '/predicate/builder', matches: 'https://example.com/*' },
    { path: '/predicate/level', at_least: 2 },
  ]
  const attestation = { type: ['spdx', 'https://example.com/own'], by: [{ key: 'release' }], where }
  const full = {
    ...policy,
    tags: ['v*', '/\\d+/'],
    mode: 'enforce',
    gates: ['copy'],
    require: [signed, { attestation }],
  }
  expect(await judge([key], [full])).toEqual([])
})

test.each([
  [{ ...policy, require: [] }, 'require: expected a list of rules that is not empty'],
  [{ ...policy, require: [{}] }, 'expected exactly one of signature and attestation'],
  [{ ...policy, repositories: [] }, 'expected a list of patterns that is not empty'],
  [{ ...policy, gates: ['blob'] }, 'expected tag, copy, pull or mirror'],
  [{ ...policy, mode: 'on' }, 'expected audit, warn or enforce'],
  [{ ...policy, modus: 'audit' }, 'unknown key "modus"; did you mean "mode"?'],
  [
    { ...policy, require: [{ signature: { by: [] } }] },
    'by: expected a list of signers that is not empty',
  ],
  [
    { ...policy, require: [{ signature: { by: [{ key: 'release' }], at_least: 2 } }] },
    'expected at most as many as there are signers in by',
  ],
  [
    { ...policy, require: [{ signature: { by: [{ key: 'other' }] } }] },
    'there is no key "other" in signing.keys',
  ],
  [{ ...policy, require: [{ attestation: { by: [{ key: 'release' }] } }] }, '"type" is missing'],
  [
    { ...policy, require: [{ attestation: { type: 'slsa', by: [{ key: 'release' }] } }] },
    'expected a predicate type as a URI, or one of slsaprovenance1',
  ],
  [
    {
      ...policy,
      require: [
        {
          attestation: { type: 'spdx', by: [{ key: 'release' }], where: [{ path: 'a', in: [1] }] },
        },
      ],
    },
    'expected a JSON pointer',
  ],
  [
    {
      ...policy,
      require: [
        { attestation: { type: 'spdx', by: [{ key: 'release' }], where: [{ path: '/a' }] } },
      ],
    },
    'expected exactly one of equals, matches, in, at_least, at_most, exists',
  ],
])('a policy is refused: %j', async (one, message) => {
  expect((await judge([key], [one])).join('\n')).toContain(message)
})

test('policies that are never asked, or have one name, are refused', async () => {
  const all = { ...policy, name: 'all', repositories: ['**'] }
  expect((await judge([key], [all, policy])).join('\n')).toContain(
    'policies[1].repositories: earlier policies decide about all of these repositories',
  )
  expect(await judge([key], [policy, all])).toEqual([])
  expect((await judge([key], [policy, policy])).join('\n')).toContain(
    '"prod" is the name of the policy [0] too',
  )
})

test('a policy over what a mirror brings is taken with a warning', async () => {
  const mirrors = [{ name: 'docker.io', upstream: 'https://m.test' }]
  const over = { ...policy, repositories: ['docker.io/**'] }
  const [line, ...more] = await judge([key], [over], { mirrors })
  expect(more).toEqual([])
  expect(line).toContain('warning: signing.policies[0].repositories: the mirror docker.io brings')
  expect(await judge([key], [policy], { mirrors })).toEqual([])
  expect(await judge([key], [{ ...over, gates: ['mirror'] }], { mirrors })).toEqual([])
})

test('a gate of pulls that stops none of those who may pull is taken with a warning', async () => {
  const pulls = { ...policy, gates: ['pull'] }
  const rule = { repositories: ['**'], anonymous: true, actions: ['pull', 'push'] }
  const [line, ...more] = await judge([key], [pulls], { access: [rule] })
  expect(more).toEqual([])
  expect(line).toContain('warning: signing.policies[0].exempt.pushers: every rule of access')
  const deploys = { ...rule, actions: ['pull'] }
  expect(await judge([key], [pulls], { access: [rule, deploys] })).toEqual([])
  expect(await judge([key], [pulls])).toEqual([])
  const strict = { ...pulls, exempt: { pushers: false } }
  expect(await judge([key], [strict], { access: [rule] })).toEqual([])
})

test.each([
  [{ ...policy, exempt: { digests: ['sha256:1'] } }, 'expected a digest such as "sha256:"'],
  [{ ...policy, exempt: { user: ['x'] } }, 'user'],
  [{ ...policy, grace: '31d' }, 'expected a duration from 0s to 30d'],
])('what is exempt is judged: %j', async (one, message) => {
  expect((await judge([key], [one])).join('\n')).toContain(message)
})
