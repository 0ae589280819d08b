/**
 * @module Rules of the tree that do not hold everywhere yet. What breaks one is listed with its reason,
 * and a list only gets shorter.
 */

/** Reasons by what they excuse: a path, or what else the rule reports. */
export type Exceptions = Readonly<Record<string, string>>

/** What breaks a rule and is not listed, and what is listed and breaks it no longer. */
export function notListed(found: Iterable<string>, listed: Exceptions): readonly string[] {
  const all = new Set(found)
  const stale = Object.keys(listed).filter((one) => !all.has(one))
  return [
    ...[...all].filter((one) => !Object.hasOwn(listed, one)),
    ...stale.map((one) => `${one} is listed without need: take it off the list`),
  ]
}
