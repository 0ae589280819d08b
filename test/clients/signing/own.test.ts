/**
 * @module What the registry signs, verified by the tools: its summaries and facts by two versions of cosign, its
 * countersignatures by cosign and by the library that podman asks before it pulls.
 */

import { mkdir, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { image, put } from '../../support/attached.ts'
import { until } from '../../support/in-process.ts'
import { attestations, publishedKeys, waitForStatements } from '../../support/own-statements.ts'
import { HERE } from '../../support/random-image.ts'
import { type Descriptor, imageIndex, RegistryClient } from '../../support/registry-client.ts'
import { type RunningRegistry, startRegistry } from '../../support/start-registry.ts'
import { clientSession } from '../support/session.ts'
import { type Cosign, makeKeys, signArgs, VERIFY_BUNDLE, verifyArgs } from '../support/signing.ts'
import { need, obstacleTo } from '../support/tools.ts'

const session = clientSession('cosign')
const TOOLS: readonly Cosign[] = ['cosign', 'cosign2']
const vsa = 'https://slsa.dev/verification_summary/v1'
const pushFact = 'https://fastregistry.org/attestations/push/v1'

let registry: RunningRegistry
let client: RegistryClient
let pems: ReadonlyMap<string, string>
let host: string

beforeAll(async () => {
  if (obstacleTo('cosign')) return
  pems = await makeKeys(session)
  registry = await startRegistry({ config: configOf() })
  client = new RegistryClient(registry.port)
  host = registry.address
})
afterAll(async () => {
  client?.close()
  await registry?.stop()
})

/** Its name is the address that the listener gets, which nobody knows before: the registry guesses it right. */
function configOf() {
  const require = [{ signature: { by: [{ key: 'p256' }] } }]
  return {
    signing: {
      keys: [{ name: 'p256', pem: pems.get('p256') }],
      policies: [
        { name: 'both', repositories: ['both/**'], require, countersign: true },
        { name: 'prod', repositories: ['prod/**'], mode: 'enforce', require },
      ],
      attest: { enabled: true, facts: ['push'] },
    },
  }
}

const at = (repository: string, reference: string) =>
  `${host}/${repository}${reference.includes(':') ? '@' : ':'}${reference}`

const sign = (repository: string, digest: string) =>
  session.run('cosign', 'sign', ...signArgs('cosign', 'p256'), at(repository, digest))

/** An image that is signed before it has a tag, with what the registry says of it. */
async function passed(repository: string, seed: string): Promise<string> {
  const { digest } = await image(client, repository, seed)
  await sign(repository, digest)
  await image(client, repository, seed, 'v1')
  await waitForStatements(client, repository, digest, 2)
  const [key = ''] = await publishedKeys(client)
  await writeFile(session.own('registry.pub'), key)
  return digest
}

describe.each(TOOLS)('%s', (tool) => {
  beforeEach((context) => need(context, tool))
  const verify = (digest: string, key: string, type: string) => [
    'verify-attestation',
    ...verifyArgs(key),
    ...VERIFY_BUNDLE[tool],
    '--type',
    type,
    at(`prod/${tool}`, digest),
  ]

  test('verifies a summary and a fact with the published key, and with no other', async () => {
    const digest = await passed(`prod/${tool}`, tool)
    for (const type of [vsa, pushFact]) {
      const { stdout } = await session.run(tool, ...verify(digest, 'registry', type))
      const [envelope] = stdout.trim().split('\n')
      const { payload } = JSON.parse(envelope!) as { payload: string }
      const statement = JSON.parse(Buffer.from(payload, 'base64').toString()) as object
      expect(statement).toMatchObject({ predicateType: type })
      await session.runFailing(tool, ...verify(digest, 'stranger', type))
    }
    await session.runFailing(tool, ...verify(digest, 'registry', 'https://example.com/other/v1'))
  })

  test('verifies a countersignature, also with the file of all published keys', async (context) => {
    need(context, 'crane')
    const repository = `both/${tool}`
    const { digest } = await image(client, repository, tool, 'v1')
    await sign(repository, digest)
    await untilCountersigned(repository, digest)
    const { text } = await client.get('/.well-known/fastregistry-signing.pem')
    await writeFile(session.own('published.pub'), text)
    // Where an image has a bundle, cosign 2.6 looks at nothing else: it is asked about a copy that has none.
    const copy = `${session.target.address}/${repository}`
    const tag = `${digest.replace(':', '-')}.sig`
    await crane('copy', at(repository, digest), `${copy}:v1`)
    await crane('copy', at(repository, tag), `${copy}:${tag}`)
    const ask = (key: string) => ['verify', ...verifyArgs(key), `${copy}@${digest}`]
    const { stdout } = await session.run(tool, ...ask('published'))
    expect(stdout).toContain(`"docker-reference":"${host}/${repository}"`)
    await session.runFailing(tool, ...ask('stranger'))
  })
})

const crane = (...args: readonly string[]) => session.run('crane', '--insecure', ...args)

test('an image that is signed as a tag: cosign 3 has to be told once there are bundles', async () => {
  const { digest } = await image(client, 'prod/tagged', 'tagged')
  const asTag = '--new-bundle-format=false'
  const reference = at('prod/tagged', digest)
  await session.run('cosign', 'sign', ...signArgs('cosign', 'p256'), asTag, reference)
  await session.run('cosign', 'verify', ...verifyArgs('p256'), reference)
  await image(client, 'prod/tagged', 'tagged', 'v1')
  await waitForStatements(client, 'prod/tagged', digest, 2)
  await session.runFailing('cosign', 'verify', ...verifyArgs('p256'), reference)
  await session.run('cosign', 'verify', ...verifyArgs('p256'), asTag, reference)
})

const untilCountersigned = (repository: string, digest: string) =>
  until(async () => {
    const tag = `${digest.replace(':', '-')}.sig`
    return (await client.head(`/v2/${repository}/manifests/${tag}`)).status === 200
  })

describe("podman's policy.json", () => {
  beforeEach((context) => need(context, 'policy-check'))

  /** Whether a policy of one key lets an image of this registry be run. */
  const asks = async (repository: string, tag: string, key: string) => {
    await mkdir(session.own('registries.d'), { recursive: true })
    await writeFile(
      session.own('registries.d/default.yaml'),
      'default-docker:\n  use-sigstore-attachments: true\n',
    )
    const signed = {
      type: 'sigstoreSigned',
      keyPath: session.own(key),
      signedIdentity: { type: 'matchRepository' },
    }
    const policy = { default: [{ type: 'reject' }], transports: { docker: { [host]: [signed] } } }
    await writeFile(session.own('policy.json'), JSON.stringify(policy))
    return ['policy.json', session.own('registries.d'), `${host}/${repository}:${tag}`]
  }

  test('lets an image of cosign 3 be run once the registry has countersigned it', async () => {
    const [key = ''] = await publishedKeys(client)
    await writeFile(session.own('registry.pub'), key)
    const { digest } = await image(client, 'both/podman', 'podman', 'v1')
    const ask = () => asks('both/podman', 'v1', 'registry.pub')
    expect(await session.runFailing('policy-check', ...(await ask()))).toMatch(/signature/)
    await sign('both/podman', digest)
    await untilCountersigned('both/podman', digest)
    expect((await session.run('policy-check', ...(await ask()))).stdout).toBe('accepted\n')
    // With the key of somebody else, and under another name.
    const stranger = await asks('both/podman', 'v1', 'stranger.pub')
    await session.runFailing('policy-check', ...stranger)
    const body = {
      from: { repository: 'both/podman', reference: 'v1' },
      to: { repository: 'free/x' },
    }
    const headers = { 'Content-Type': 'application/json' }
    await client.request('POST', '/admin/copy', { headers, body: JSON.stringify(body) })
    const elsewhere = await asks('free/x', 'v1', 'registry.pub')
    expect(await session.runFailing('policy-check', ...elsewhere)).toMatch(/identity|accepted/i)
  })

  test('lets the platform of an index be run whose index alone was signed', async () => {
    const [key = ''] = await publishedKeys(client)
    await writeFile(session.own('registry.pub'), key)
    const members: Descriptor[] = []
    for (const platform of [HERE, { os: 'linux', architecture: 's390x' }]) {
      members.push({ ...(await image(client, 'both/index', platform.architecture)), platform })
    }
    const { digest } = await put(client, 'both/index', imageIndex(members), 'v1')
    await sign('both/index', digest)
    await untilCountersigned('both/index', members[1]!.digest)
    const ask = await asks('both/index', 'v1', 'registry.pub')
    expect((await session.run('policy-check', ...ask)).stdout).toBe('accepted\n')
  })
})

test('what cosign adds to a countersigned image stays, and so does the countersignature', async () => {
  const { digest } = await image(client, 'both/beside', 'beside', 'v1')
  await sign('both/beside', digest)
  await untilCountersigned('both/beside', digest)
  const [key = ''] = await publishedKeys(client)
  await writeFile(session.own('registry.pub'), key)
  const asTag = '--new-bundle-format=false'
  const reference = at('both/beside', digest)
  await session.run('cosign', 'sign', ...signArgs('cosign', 'stranger'), asTag, reference)
  for (const name of ['registry', 'stranger']) {
    await session.run('cosign', 'verify', ...verifyArgs(name), asTag, reference)
  }
  expect((await attestations(client))['countersignature failed']).toBeUndefined()
})
