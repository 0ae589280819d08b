/**
 * @module SIGKILL between a signature and its verdict, again and again: whatever the dead process has written, the next
 * one gives the image exactly when its signature is there.
 *
 * FASTREGISTRY_VERDICT_KILLS=N for as many, FASTREGISTRY_CRASH_SEED=S for the moments of a failure.
 */
import { expect, test } from 'vitest'
import { attach } from '../support/attach-signatures.ts'
import { image, named, put } from '../support/attached.ts'
import { imageIndex, RegistryClient } from '../support/registry-client.ts'
import { makeSigner, simpleSigning } from '../support/signing.ts'
import { startRegistry } from '../support/start-registry.ts'
import { Seeded } from './support/seeded.ts'

const kills = Number(process.env['FASTREGISTRY_VERDICT_KILLS'] ?? 15)
const seed = Number(process.env['FASTREGISTRY_CRASH_SEED'] ?? Math.floor(Math.random() * 1e6))
const repository = 'prod/app'
const release = makeSigner()
const config = {
  signing: {
    keys: [{ name: 'release', pem: release.pem }],
    policies: [
      {
        name: 'prod',
        repositories: ['prod/**'],
        mode: 'enforce',
        gates: ['pull'],
        require: [{ signature: { by: [{ key: 'release' }] } }],
      },
    ],
  },
}

const path = (reference: string) => `/v2/${repository}/manifests/${reference}`

test(`verdicts through ${kills} kills (seed ${seed})`, async () => {
  const chance = new Seeded(seed, 'verdicts')
  const registry = await startRegistry({ config })
  const seen = { signed: 0, unsigned: 0 }
  try {
    let client = new RegistryClient(registry.port)
    const member = await image(client, repository, 'member')
    const index = await put(client, repository, imageIndex([member]), 'v1')
    const tag = `${named(index.digest)}.sig`
    const all = ['v1', index.digest, member.digest]
    const statuses = async () => {
      const answers = await Promise.all(all.map((reference) => client.get(path(reference))))
      return answers.map(({ status }) => status)
    }
    for (let kill = 0; kill < kills; kill += 1) {
      let isDead = false
      const ignoreDead = (error: unknown) => {
        if (!isDead) throw error
      }
      const changing = (async () => {
        while (!isDead) {
          await attach(client, repository, [simpleSigning(release, index.digest)], { tag })
          expect(await statuses()).toEqual([200, 200, 200])
          await client.delete(path(tag))
          expect(await statuses()).toEqual([403, 403, 403])
        }
      })().catch(ignoreDead)
      await new Promise((resolve) => setTimeout(resolve, chance.between(5, 250)))
      isDead = true
      await registry.kill9()
      await changing
      client.close()
      await registry.restart()
      client = new RegistryClient(registry.port)
      const isSigned = (await client.head(path(tag))).status === 200
      seen[isSigned ? 'signed' : 'unsigned'] += 1
      const status = isSigned ? 200 : 403
      expect(await statuses(), `kill ${kill}`).toEqual([status, status, status])
    }
    client.close()
  } finally {
    await registry.stop()
  }
  expect(seen.signed + seen.unsigned).toBe(kills)
})
