/**
 * @module The caches of the read path: answers that were prepared once, keys that were read lately.
 */
import { ResponseHead } from '../../src/http/engine/port.ts'
import { PreparedAnswers } from '../../src/http/prepared-answers.ts'
import { parseDigest } from '../../src/registry/digest.ts'
import { parseRepositoryName } from '../../src/registry/name.ts'
import { unwrap } from '../../src/registry/result.ts'
import { RecentSet } from '../../src/runtime/recent-set.ts'
import { fakeDigest, type MicroSuite } from './suite.ts'

const count = 10_000

export function cacheSuite(): MicroSuite {
  const answers = new PreparedAnswers()
  const recent = new RecentSet(count)
  const paths = Array.from({ length: count }, (_, index) => `/v2/team/app/manifests/v${index}`)
  const head = new ResponseHead(200, [['Content-Type', 'application/octet-stream']])
  const digest = unwrap(parseDigest(fakeDigest(1)))
  const prepared = {
    kind: 'manifest',
    repository: unwrap(parseRepositoryName('team/app')),
    reference: 'v1',
    digest,
    isTag: true,
    sizeBytes: 1,
    head,
    unchanged: [],
    notedIn: 0,
    reliedAt: 0,
  } as const
  for (const path of paths) {
    answers.put(path, { ...prepared, bytes: undefined })
    recent.add(path)
  }
  let at = 0
  const next = () => {
    at = (at + 1) % count
    return paths[at]!
  }
  return {
    tasks: [
      { name: 'prepared answer, hit', run: () => answers.get(next(), 0) },
      { name: 'prepared answer, miss', run: () => answers.get('/v2/team/app/manifests/none', 0) },
      {
        name: 'prepared answer, put',
        run: () => answers.put(next(), { ...prepared, bytes: undefined }),
      },
      { name: 'read lately, hit', run: () => recent.has(next()) },
    ],
  }
}
