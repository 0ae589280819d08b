/**
 * @module Entity tags (RFC 9110 §8.8.3): a resource's is its digest in quotes. Lists, `*` and (as
 * distribution does) the bare digest match too.
 */

/** Whether a list of entity tags names `digest`; `*` matches anything that exists. */
export function matchesEntityTag(list: string, digest: string | undefined): boolean {
  if (digest === undefined) return false
  return list.split(',').some((item) => {
    const tag = item.trim()
    return tag === '*' || tag === digest || tag === `"${digest}"` || tag === `W/"${digest}"`
  })
}

/** `If-Match` and `If-None-Match` of a request (RFC 9110 §13.1), as they were sent. */
export interface TagCondition {
  readonly ifMatch: string | undefined
  readonly ifNoneMatch: string | undefined
}

/** Whether a condition holds for what is there now; undefined: nothing is. */
export function holdsFor({ ifMatch, ifNoneMatch }: TagCondition, current: string | undefined) {
  return (
    (ifMatch === undefined || matchesEntityTag(ifMatch, current)) &&
    (ifNoneMatch === undefined || !matchesEntityTag(ifNoneMatch, current))
  )
}

/** Strong comparison of one tag, as If-Range wants it (weak tags and dates do not match). */
export function isSameEntityTag(tag: string, digest: string): boolean {
  return tag.trim() === `"${digest}"`
}
