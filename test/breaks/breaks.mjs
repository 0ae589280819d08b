/**
 * @module What is broken on purpose. Each file of `cases/` exports `BREAKS`, one entry a promise: `what`
 * is broken, in which `file` the text `find`, which stands there once, becomes `replace`, and the
 * `guard`, the test that has to fail then. `run.mjs` tries them.
 */
import { readdirSync } from 'node:fs'

/** The guard of a break: a vitest project, one of its files, and what the environment adds. */
export const vitest = (project, file, env = {}) => ({ project, file, env })

/** Every break with its `area`, the name of its file, in the order of these names. */
export async function readBreaks() {
  const folder = new URL('cases/', import.meta.url)
  const names = readdirSync(folder).filter((name) => name.endsWith('.mjs'))
  const areas = await Promise.all(
    names.sort().map(async (area) => {
      const { BREAKS } = await import(new URL(area, folder).href)
      return BREAKS.map((entry) => ({ ...entry, area }))
    }),
  )
  return areas.flat()
}
