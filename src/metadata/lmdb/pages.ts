/**
 * @module Long walks of a worker thread over rows: page by page, the snapshot renewed in between, so that
 * a walk never holds pages of the map that the writer wants back.
 */
import { lastText, nextKey } from '../key-order.ts'
import type { DatabaseName, Databases } from '../schema.ts'
import type { LmdbEnvironment } from './environment.ts'

/** Rows of one page. */
const rowsAtOnce = 500

export interface PagesRange {
  /** First key, included; undefined: from the first one on. */
  readonly start?: string
  /** First component to stop before; undefined: to the last one. */
  readonly end?: string
}

/** Every entry in the order of keys. Rows that are written meanwhile may be missed, or seen. */
export function* inPages<N extends DatabaseName>(
  environment: LmdbEnvironment,
  database: N,
  { start = '', end = lastText }: PagesRange = {},
): Generator<{ key: Databases[N]['key']; row: Databases[N]['row'] }> {
  let from: string | readonly string[] = start
  while (true) {
    const range = { start: from, end, limit: rowsAtOnce }
    const page = [...environment.entries(database, range)]
    for (const { key, value } of page) yield { key, row: value } as never
    if (page.length < rowsAtOnce) return
    from = nextKey(page.at(-1)!.key as string | readonly string[])
    environment.refresh()
  }
}
