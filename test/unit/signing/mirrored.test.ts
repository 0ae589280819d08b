/**
 * @module What mirrors hear of an image: that it is verified, that it is not, or that it is not known.
 */
import { beforeEach, expect, test } from 'vitest'
import type { Digest } from '../../../src/registry/digest.ts'
import { MirroredImages } from '../../../src/signing/pulls/mirrored.ts'
import type { Standing } from '../../../src/signing/pulls/standings.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { asName, sha256 } from '../../support/registry-client.ts'
import { exemptNone, policyOf } from '../../support/signing-policy.ts'

const repository = asName('mirrored/app')
const digest = sha256('image') as Digest
const policy = policyOf({ gates: new Set(['mirror']), exempt: exemptNone })

let state: Standing['state'] | undefined
let finds: (() => boolean)[]
let images: MirroredImages
beforeEach(() => {
  state = undefined
  finds = []
  images = new MirroredImages({
    metadata: { get: () => ({ pushedAt: 0 }) } as never,
    signatures: { governing: () => policy },
    standings: {
      known: () => (state === undefined ? undefined : ({ state } as Standing)),
      find: async () => {
        const next = finds.shift()
        if (next === undefined) throw new Error('asked too often')
        return next()
      },
    },
    revoked: { of: () => undefined },
    clock: new FakeClock(),
  })
})

const says = (it: Standing['state'] | undefined, isJudged = true) => {
  return () => {
    state = it
    return isJudged
  }
}

test('what is known is not worked out again, unless signatures have come', async () => {
  state = 'unsigned'
  expect(await images.isVerified(repository, digest, false)).toBe(false)
  finds = [says('unsigned'), says('verified')]
  expect(await images.isVerified(repository, digest, true)).toBe(true)
  expect(finds).toHaveLength(0)
  expect(await images.isVerified(repository, digest, true)).toBe(true)
})

test('a verdict that has changed again at once is not taken for a bad one', async () => {
  finds = [says(undefined)]
  const asked = images.isVerified(repository, digest, false)
  await expect(asked).rejects.toMatchObject({ kind: 'SIGNATURES_BUSY' })
  // There is nothing that could be verified.
  finds = [says(undefined, false)]
  expect(await images.isVerified(repository, digest, false)).toBe(false)
})
