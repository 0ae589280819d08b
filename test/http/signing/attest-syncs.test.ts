/**
 * @module What two registries sign that copy from one another: each has its own word, takes the other's along, and nothing
 * comes of that.
 */
import { expect, test } from 'vitest'
import { attach } from '../../support/attach-signatures.ts'
import { image, named } from '../../support/attached.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { attestations, ownReferrers, waitForStatements } from '../../support/own-statements.ts'
import { makeSigner, simpleSigning } from '../../support/signing.ts'

const release = makeSigner()
const vsa = 'https://slsa.dev/verification_summary/v1'

async function start(host: string, from?: InProcessRegistry): Promise<InProcessRegistry> {
  const source = from && {
    name: 'above',
    type: 'registry',
    url: `http://127.0.0.1:${from.port}`,
    repositories: ['team/app'],
    mode: 'manual',
  }
  const policy = {
    name: 'team',
    repositories: ['team/**'],
    mode: 'enforce',
    countersign: source !== undefined,
    require: [{ signature: { by: [{ key: 'release' }] } }],
  }
  const keys = [{ name: 'release', pem: release.pem }]
  const attest = { enabled: true, host, facts: ['push', 'promotion', 'mirror'] }
  return startInProcess({
    engine: 'node',
    config: {
      ...(source && { sync: { sources: [source] } }),
      signing: { keys, policies: [policy], attest },
    },
  })
}

async function run({ syncs }: InProcessRegistry) {
  const started = await syncs.trigger('above', { by: 'test', isForced: true })
  if (started.kind !== 'started') throw new Error(started.kind)
  await started.ended
  return syncs.status('above')!.counts
}

async function layersOf({ client }: InProcessRegistry, digest: string): Promise<number> {
  const { json } = await client.get(`/v2/team/app/manifests/${named(digest)}.sig`)
  return (json as { layers: unknown[] }).layers.length
}

test('each says it once, however often the one copies from the other', async () => {
  const above = await start('above.example.com')
  const here = await start('here.example.com', above)
  try {
    const { digest } = await image(above.client, 'team/app', 'synced')
    const tag = `${named(digest)}.sig`
    await attach(above.client, 'team/app', [simpleSigning(release, digest)], { tag })
    await image(above.client, 'team/app', 'synced', 'v1')
    // A summary and the fact of the push.
    await waitForStatements(above.client, 'team/app', digest, 2)
    expect((await run(here))['copied']).toBe(1)
    await expect.poll(() => ownReferrers(here.client, 'team/app', digest)).toHaveLength(3)
    await expect.poll(() => layersOf(here, digest)).toBe(2)
    const before = await attestations(here.client)
    expect(before).toMatchObject({ 'vsa written': 1, 'countersignature written': 1 })
    const linesBefore = here.logLines.length
    await run(here)
    await run(here)
    expect(await ownReferrers(here.client, 'team/app', digest)).toHaveLength(3)
    expect(await layersOf(here, digest)).toBe(2)
    expect(await attestations(here.client)).toEqual(before)
    expect(here.logLines.slice(linesBefore).filter((line) => line.includes('attested'))).toEqual([])
    // Nothing went back.
    expect(await ownReferrers(above.client, 'team/app', digest)).toHaveLength(2)
    const { text } = await here.client.get(`/v2/team/app/referrers/${digest}`)
    expect(text.split(vsa)).toHaveLength(3)
  } finally {
    await dispose(here)
    await dispose(above)
  }
})
