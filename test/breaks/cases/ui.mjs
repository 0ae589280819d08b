/** @module The breaks of the pages: their policy, their forms, and what stays text. */
import { vitest } from '../breaks.mjs'

const pages = vitest('http', 'test/http/ui.test.ts')

export const BREAKS = [
  {
    what: 'the pages run scripts of other hosts',
    file: 'src/http/handlers/ui.ts',
    find: `"script-src 'self'",`,
    replace: `"script-src *",`,
    guard: pages,
  },
  {
    what: 'a text may become markup in the pages',
    file: 'src/http/handlers/ui.ts',
    find: `  "require-trusted-types-for 'script'",\n`,
    replace: '',
    guard: pages,
  },
  {
    what: 'a path without a file is answered with the document',
    file: 'src/http/handlers/ui.ts',
    find: `const answers = this.#files.get(request.path.slice('/ui/'.length))`,
    replace: `const answers = this.#files.get(request.path.slice('/ui/'.length)) ?? this.#files.get('')`,
    guard: pages,
  },
  {
    what: 'a browser keeps the document of an older version',
    file: 'src/http/handlers/ui.ts',
    find: `isHashed ? KEEP : ASK`,
    replace: `KEEP`,
    guard: pages,
  },
  {
    what: 'a form that the browser refuses is sent',
    file: 'src/http/handlers/ui.ts',
    find: `.filter(([, quality]) => quality === undefined || !/^q=0(\\.0*)?$/.test(quality))`,
    replace: `.filter(([, quality]) => quality !== 'never')`,
    guard: pages,
  },
  {
    what: 'the title of the configuration is markup in the document',
    file: 'src/ui/assets.ts',
    find: `.replaceAll('<', '&lt;')`,
    replace: `.replaceAll('<', '<')`,
    guard: pages,
  },
  {
    what: 'programs at the front are led to the pages',
    file: 'src/http/handlers/service.ts',
    find: `if (hasPages && wantsPage(request))`,
    replace: `if (hasPages)`,
    guard: pages,
  },
]
