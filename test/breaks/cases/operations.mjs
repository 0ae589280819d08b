/**
 * @module The breaks of what operators and browsers meet: what answers tell a browser, who may call from
 * one, where an open registry listens, what its health says, what ships.
 */
import { vitest } from '../breaks.mjs'

const browsers = vitest('http', 'test/http/browser-headers.test.ts')

export const BREAKS = [
  {
    what: 'answers whose type a browser may guess',
    file: 'src/http/engine.ts',
    find: 'headers.includes(noSniffing) ? headers : [...headers, noSniffing]',
    replace: 'headers.includes(noSniffing) ? [] : headers',
    guard: browsers,
  },
  {
    what: 'types of stored rows and upstreams that a browser runs',
    file: 'src/http/handlers/manifests.ts',
    find: "['Content-Type', servedType(mediaType)]",
    replace: "['Content-Type', servedType(mediaType) && mediaType]",
    guard: browsers,
  },
  {
    what: 'blobs that are pages of the registry',
    file: 'src/http/handlers/blobs.ts',
    find: "'max-age=31536000, immutable'],\n    sandboxHeader,",
    replace: "'max-age=31536000, immutable'],\n    ...[sandboxHeader].slice(1),",
    guard: browsers,
  },
  {
    what: 'answers that name the native engine',
    file: 'src/http/uws-loader.ts',
    find: 'uws._cfg(withoutMark)',
    replace: "uws._cfg(withoutMark.replaceAll('9', '0'))",
    guard: browsers,
  },
]
