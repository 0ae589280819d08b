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

/** Strong comparison of one tag, as If-Range wants it (weak tags and dates do not match). */
export function isSameEntityTag(tag: string, digest: string): boolean {
  return tag.trim() === `"${digest}"`
}
