/**
 * @module What the registry says of an image, beside what the tool itself says that signed it: the same, but for the
 * differences that the cases name.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { clientSession } from '../support/session.ts'
import { verdictOf } from '../support/signing.ts'
import { need, obstacleTo } from '../support/tools.ts'
import { CASES } from './cases.ts'
import { Scene, TYPES } from './scene.ts'

const session = clientSession('cosign', 'crane', 'oras')
let scene: Scene

beforeAll(async () => {
  if (['cosign', 'crane', 'oras'].some(obstacleTo)) return
  scene = await Scene.open(session)
})
afterAll(() => scene?.close())

const numbered = CASES.map((one, number) => ({ ...one, number }))

describe('the registry and the tool say the same', () => {
  test.concurrent.for(numbered)('$name', async (it, context) => {
    const { tool, form, asks, number } = it
    need(context, tool)
    const repository = `case/${number}`
    const made = it.isIndex
      ? await scene.index(repository, it.name)
      : await scene.image(repository, it.name)
    const place = (await it.make(scene, made)) ?? made
    const policy =
      'key' in asks ? `signed.${asks.key}` : `attested.${Object.keys(TYPES).indexOf(asks.type)}`
    const verdict = await verdictOf(scene.url, place.repository, place.digest, policy)
    context.expect(verdict.state === 'verified', JSON.stringify(verdict)).toBe(it.isVerified)
    const says = it.verifies
      ? await it.verifies(scene, place)
      : 'key' in asks
        ? await scene.verifies(tool, form, place, asks.key)
        : await scene.verifiesAttestation(tool, form, place, asks.type)
    const isSame = says === it.isVerified
    context.expect(isSame, `${tool} says ${says}`).toBe(it.toolDiffers === undefined)
  })
})

test('there are many of them', () => {
  expect(CASES.length).toBeGreaterThanOrEqual(60)
})
