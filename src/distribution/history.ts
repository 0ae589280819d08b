/**
 * @module The history: one row an action, written by the very transaction that does it, so that it is
 * never wrong and never missing. The store's writer numbers the rows; old ones go by collection.
 */

import type { EventRow } from '../metadata/schema.ts'
import type { SingleChange } from '../metadata/transaction.ts'

export class History {
  /** The change that writes an event down. */
  write(row: EventRow): SingleChange {
    return { change: 'event', in: 'events', row }
  }
}
