/**
 * @module The cases of the public conformance suite (sigstore/sigstore-conformance, `test/assets/bundle-verify`), where
 * the environment names that folder: SIGSTORE_CONFORMANCE. A case is a folder; `_fail` at the end of its name says that
 * it has to be refused. SIGSTORE_TRUSTED_ROOT names the root of the cases that have none of their own.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { WantedSigner } from '../../../../src/signing/verdicts/signers.ts'
import { bundleLayer, digestOf, lookAtLayer, trustWith } from '../../../support/signed/look.ts'

const { SIGSTORE_CONFORMANCE: folder, SIGSTORE_TRUSTED_ROOT: publicRoot } = process.env

/** Who signed the cases of the suite. */
const beacon: WantedSigner = {
  kind: 'identity',
  name: 'beacon',
  root: 'suite',
  issuer: 'https://token.actions.githubusercontent.com',
  subject:
    'https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main',
  claims: {},
}

function textAt(...parts: readonly string[]): string | undefined {
  const path = join(...parts)
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}

describe.skipIf(folder === undefined)('the public conformance suite', () => {
  const names = folder === undefined ? [] : readdirSync(folder).sort()
  const cases = names.filter((name) => existsSync(join(folder!, name, 'bundle.sigstore.json')))

  test('is there', () => {
    expect(cases.length).toBeGreaterThan(0)
  })

  for (const name of cases) {
    const here = join(folder!, name)
    const root = textAt(here, 'trusted_root.json') ?? (publicRoot && textAt(publicRoot))
    const pem = textAt(here, 'key.pub')
    test.skipIf(root === undefined && pem === undefined)(name, async () => {
      const own = join(here, 'artifact')
      const bytes = readFileSync(existsSync(own) ? own : join(folder!, 'a.txt'))
      const trust = trustWith({
        roots: root === undefined ? [] : [{ name: 'suite', json: root, renewedAt: Date.now() }],
        keys: pem === undefined ? [] : [{ name: 'managed', pem }],
        signers: pem === undefined ? [beacon] : [],
      })
      const layer = bundleLayer(readFileSync(join(here, 'bundle.sigstore.json'), 'utf8'))
      // A root that cannot be read is refused where it is read.
      const finding = await lookAtLayer(layer, trust, {
        about: { digest: digestOf(bytes), bytes },
      }).catch((error: Error) => ({ result: 'error', reason: error.message }))
      const isLogged = 'isLogged' in finding || pem === undefined
      expect(finding.result === 'verified' && isLogged, finding.reason).toBe(
        !name.endsWith('_fail'),
      )
    })
  }
})
