/**
 * @module The OCI distribution-spec conformance suite, newest profile, against the real server on
 * both engines: everything passes and nothing is skipped. `setup.sh` builds the suite; where it is
 * missing these tests are skipped loudly.
 */
import { describe, expect, test } from 'vitest'
import { CLEAN, conformance, PASSES_MIN } from './suite.ts'

/** With the sparse manifests, which the two policies allow, some more pass. */
const PASSES_WITH_SPARSE_MIN = 1032
const SPARSE_POLICY = { policy: { allow_sparse_index: true, allow_missing_blobs: true } }

describe.each(['uws', 'node'] as const)('on the %s engine', (engine) => {
  test('every case of the newest profile passes', async (context) => {
    const outcome = await conformance(context, { engine }, {})
    expect(outcome).toMatchObject(CLEAN)
    expect(outcome.passed).toBeGreaterThanOrEqual(PASSES_MIN)
  })

  test('sparse indexes and images pass too where policy allows them', async (context) => {
    const options = { engine, config: SPARSE_POLICY }
    const outcome = await conformance(context, options, { OCI_DATA_SPARSE: 'true' })
    expect(outcome).toMatchObject(CLEAN)
    expect(outcome.passed).toBeGreaterThanOrEqual(PASSES_WITH_SPARSE_MIN)
  })
})
