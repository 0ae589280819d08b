/**
 * @module `cosign` against the registry, offline: signs with a key pair and verifies, the signature
 * stored as a tag and as a referrer. No transparency log, no trust root, no network.
 */

import { describe, expect, test } from 'vitest'
import { clientSession } from './support/session.ts'
import { listReferrers, listTags, putLayout, readWhole } from './support/wire.ts'

const PLAIN = '--allow-http-registry'
const OFFLINE = ['--tlog-upload=false', '--use-signing-config=false']
const VERIFY = ['--insecure-ignore-tlog=true', PLAIN]
/** Signatures as tags, the way of cosign 1 and 2. */
const AS_TAG = '--new-bundle-format=false'
const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json'

const session = clientSession('cosign')
const cosign = async (...args: string[]) => {
  const { stdout, stderr } = await session.run('cosign', ...args)
  return stdout + stderr
}

/** Puts an image and makes two key pairs; one signs, the other must not verify. */
const signable = async (name: string) => {
  const { multiArch } = session.images
  await putLayout(session.target, name, 'v1', multiArch)
  const keys = {
    own: `${name.replace('/', '-')}-own`,
    foreign: `${name.replace('/', '-')}-foreign`,
  }
  for (const key of [keys.own, keys.foreign]) {
    await cosign('generate-key-pair', '--output-key-prefix', key)
  }
  return { reference: `${session.at(name)}@${multiArch.digest}`, digest: multiArch.digest, ...keys }
}

describe('a signature stored as a tag', () => {
  test('verifies with the right key and with no other', async () => {
    const { reference, digest, own, foreign } = await signable('cosign/tag')
    await cosign('sign', '--yes', '--key', `${own}.key`, ...OFFLINE, AS_TAG, PLAIN, reference)
    const tag = `${digest.replace(':', '-')}.sig`
    expect(await listTags(session.target, 'cosign/tag')).toEqual(['v1', tag].sort())
    await readWhole(session.target, 'cosign/tag', tag)
    const verify = ['verify', ...VERIFY, AS_TAG, reference, '--key']
    expect(await cosign(...verify, `${own}.pub`)).toContain(digest)
    expect(await session.runFailing('cosign', ...verify, `${foreign}.pub`)).toMatch(/no matching/)
  })

  test('is gone after cosign clean', async () => {
    const { reference, own } = await signable('cosign/clean')
    await cosign('sign', '--yes', '--key', `${own}.key`, ...OFFLINE, AS_TAG, PLAIN, reference)
    await cosign('clean', '--force', PLAIN, reference)
    expect(await listTags(session.target, 'cosign/clean')).toEqual(['v1'])
    const verify = ['verify', ...VERIFY, AS_TAG, '--key', `${own}.pub`, reference]
    expect(await session.runFailing('cosign', ...verify)).toMatch(/no signatures found/)
  })
})

describe('a signature stored as a referrer', () => {
  test('verifies with the right key and with no other', async () => {
    const { reference, own, foreign } = await signable('cosign/referrer')
    await cosign('sign', '--yes', '--key', `${own}.key`, ...OFFLINE, PLAIN, reference)
    const verify = ['verify', ...VERIFY, reference, '--key']
    expect(await cosign(...verify, `${own}.pub`)).toMatch(/signatures were verified/)
    await session.runFailing('cosign', ...verify, `${foreign}.pub`)
  })

  test('is in the referrers API with its artifact type, and adds no tag', async (context) => {
    if (session.target.process === undefined) context.skip('a foreign registry may lack the API')
    const { reference, digest, own } = await signable('cosign/listed')
    await cosign('sign', '--yes', '--key', `${own}.key`, ...OFFLINE, PLAIN, reference)
    const referrers = await listReferrers(session.target, 'cosign/listed', digest)
    expect(referrers).toMatchObject([{ artifactType: BUNDLE }])
    const { body } = await readWhole(session.target, 'cosign/listed', referrers[0]!.digest)
    expect(body.subject?.digest).toBe(digest)
    expect(await listTags(session.target, 'cosign/listed')).toEqual(['v1'])
    expect(await cosign('tree', PLAIN, reference)).toContain(referrers[0]!.digest)
  })

  test('is checked by cosign verify for an image named by tag', async () => {
    const { own } = await signable('cosign/by-tag')
    const reference = session.at('cosign/by-tag:v1')
    await cosign('sign', '--yes', '--key', `${own}.key`, ...OFFLINE, PLAIN, reference)
    await cosign('verify', ...VERIFY, '--key', `${own}.pub`, reference)
  })
})
