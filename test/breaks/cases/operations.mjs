/**
 * @module The breaks of what operators and browsers meet: what answers tell a browser, who may call from
 * one, where an open registry listens, what its health says, what ships.
 */
import { vitest } from '../breaks.mjs'

const browsers = vitest('http', 'test/http/browser-headers.test.ts')
const pages = vitest('http', 'test/http/browsers.test.ts')
const open = vitest('unit', 'test/unit/config/open-mode.test.ts')
const health = vitest('unit', 'test/unit/observability/health.test.ts')
const commands = vitest('unit', 'test/unit/cli/commands.test.ts')

export const BREAKS = [
  {
    what: 'answers whose type a browser may guess',
    file: 'src/http/engine/port.ts',
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
    file: 'src/http/engine/uws/loader.ts',
    find: 'uws._cfg(withoutMark)',
    replace: "uws._cfg(withoutMark.replaceAll('9', '0'))",
    guard: browsers,
  },
  {
    what: 'any site may call with the login of a browser',
    file: 'src/http/browsers.ts',
    find: "if (origin !== '*') allowed.push(",
    replace: "if (origin !== '') allowed.push(",
    guard: pages,
  },
  {
    what: 'refusals that a named site cannot read',
    file: 'src/server/http.ts',
    find: 'respondError(request, browsers.dress(request, response), error, logger)',
    replace: 'respondError(request, response, error, logger)',
    guard: pages,
  },
  {
    what: 'uploads begun by pages of other sites',
    file: 'src/http/browsers.ts',
    find: '!NOT_CHANGING.has(request.method) && this.isOtherSite(request)',
    replace: '!NOT_CHANGING.has(request.method) && this.isOtherSite(request) && isJudgedLater',
    guard: pages,
  },
  {
    what: 'a browser under any name',
    file: 'src/http/browsers.ts',
    find: 'if (given !== undefined || isOwnAddress(request.host)) return go()',
    replace: 'if (given !== undefined || request.host !== undefined) return go()',
    guard: pages,
  },
  {
    what: 'an open registry on every interface as it comes',
    file: 'src/config/sections/server.ts',
    find: "if (isForNetwork(values) || address.host !== '') return address",
    replace: 'if (isForNetwork(values) || address.port > 0) return address',
    guard: open,
  },
  {
    what: 'paths in what strangers read of its health',
    file: 'src/observability/health.ts',
    find: "?? 'fails'",
    replace: '?? String(error)',
    guard: health,
  },
  {
    what: 'ready while it stops',
    file: 'src/observability/health.ts',
    find: "isStopping() ? 'stopping' : this.#hasStarted",
    replace: "isStopping() && !this.#hasStarted ? 'stopping' : this.#hasStarted",
    guard: health,
  },
  {
    what: 'a compiler in the production install',
    file: 'package-lock.json',
    find: '"name": "typescript",\n      "version": "7.0.2",\n      "integrity": "sha512-8FYau96o3NKOhbjKi/qNvG/W5jhzxkbdm5sj9AbZ/5T5sWqn3hJgLfGx27sRKZWTvyzCP8dLRBTf5tBTSRVUNA==",\n      "dev": true,',
    replace:
      '"name": "typescript",\n      "version": "7.0.2",\n      "integrity": "sha512-8FYau96o3NKOhbjKi/qNvG/W5jhzxkbdm5sj9AbZ/5T5sWqn3hJgLfGx27sRKZWTvyzCP8dLRBTf5tBTSRVUNA==",',
    guard: vitest('unit', 'test/unit/what-ships.test.ts'),
  },
  {
    what: 'a file that ships and nothing loads',
    file: 'src/cli/commands.ts',
    find: "(await import('./commands/health.ts')).health",
    replace: "(await import('./commands/gc.ts')).gcStatus",
    guard: vitest('unit', 'test/unit/what-ships.test.ts'),
  },
  {
    what: 'a flag that a command ignores',
    file: 'src/cli/parse.ts',
    find: 'if (!Object.hasOwn(own, name)) return',
    replace: "if (!Object.hasOwn(own, name) && name === '') return",
    guard: vitest('unit', 'test/unit/cli.test.ts'),
  },
  {
    what: 'a help without the flags that commands share',
    file: 'src/cli/help.ts',
    find: 'const flags = Object.entries(flagsOf(command))',
    replace: 'const flags = Object.entries(command.flags)',
    guard: commands,
  },
  {
    what: 'a completion that leaves commands out',
    file: 'src/cli/completion.ts',
    find: "at(words.slice(0, index).join(' ')).next.add(word)",
    replace: "if (index === 0) at(words.slice(0, index).join(' ')).next.add(word)",
    guard: commands,
  },
  {
    what: 'an unknown key inside a rule passes',
    file: 'src/config/values.ts',
    find: 'if (!Object.hasOwn(parts, key)) refuseKey',
    replace: "if (!Object.hasOwn(parts, key) && key === '') refuseKey",
    guard: vitest('unit', 'test/unit/config/values.test.ts'),
  },
]
