/**
 * @module What a reader has to open to follow one miss: the modules that run for a blob that is not stored, by
 * coverage of one request. Drivers, the domain and the seams are not counted: their ports say enough.
 */
import { expect, test } from 'vitest'
import { enteredModules } from '../../support/entered-modules.ts'
import { FaultyUpstream } from '../../support/faulty-upstream.ts'
import { dispose, startInProcess, until } from '../../support/in-process.ts'
import { sha256, someBytes } from '../../support/registry-client.ts'

/** From the route to the rows, and whom they ask. The port of the engine stands for what is behind it. */
const COUNTED =
  /\/(src\/(?:http\/(?:handlers\/|access\/)?[a-z-]+|mirror\/[a-z-]+|blobs\/fill\/[a-z-]+|upstream\/[a-z-]+|distribution\/[a-z-]+))\.ts$/

/** Writes down pulls every ten seconds, whatever is asked. */
const BY_THE_CLOCK = 'src/mirror/pull-marks'

const modulesMax = 34

/** Those of them that only send the answer, or run for every request of the registry. */
const SENDING: readonly string[] = [
  'src/blobs/fill/reader',
  'src/http/browsers',
  'src/http/handlers/blobs',
  'src/http/handlers/mirror-answers',
  'src/http/headed-response',
  'src/http/request-log',
]

const toCommitMax = 28

test('a miss of a blob enters few modules', async () => {
  const upstream = new FaultyUpstream()
  await upstream.start()
  const registry = await startInProcess({
    engine: 'uws',
    mirrors: [{ name: 'hub', upstream: upstream.url }],
  })
  try {
    const blobs = [1, 2].map((seed) => someBytes(2_000_000, seed))
    for (const bytes of blobs) upstream.addBlob('app', bytes)
    const pull = async (bytes: Buffer) => {
      const answer = await registry.client.get(`/v2/hub/app/blobs/${sha256(bytes)}`)
      expect(answer.body.equals(bytes)).toBe(true)
      await until(async () => (await registry.blobFiles()).includes(sha256(bytes).slice(7)))
      // Its rows come after its file.
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    // What is loaded, connected and prepared once is not a part of each miss.
    await pull(blobs[0]!)
    const found = await enteredModules(COUNTED, () => pull(blobs[1]!))
    const modules = found.filter((module) => module !== BY_THE_CLOCK)
    expect(modules).toContain('src/distribution/commit-blob')
    expect(modules).toContain('src/upstream/upstream')
    const message = modules.join('\n')
    expect(modules.length, message).toBeLessThanOrEqual(modulesMax)
    const toCommit = modules.filter((module) => !SENDING.includes(module))
    expect(toCommit.length, message).toBeLessThanOrEqual(toCommitMax)
  } finally {
    await dispose(registry)
    await upstream.stop()
  }
})
