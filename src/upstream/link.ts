/**
 * @module `Link` of a list (RFC 8288): where its next page is, in the forms that registries send it
 * (relative, absolute, `rel` with and without quotes, several links on one line). One pass.
 */

/** Longest header that is read, characters. */
const headerLengthMax = 16 * 1024

/** Longest query that is sent back, characters. */
const queryLengthMax = 4096

/**
 * The query of the next page, from its `?` on; undefined where there is none. Host and path of the
 * link are not looked at: proxies lose prefixes, and a link may lead nowhere else.
 */
export function nextQuery(header: string | undefined): string | undefined {
  if (header === undefined || header.length > headerLengthMax) return undefined
  for (const { target, parameters } of links(header)) {
    if (!isNext(parameters)) continue
    const query = target.indexOf('?')
    const text = query === -1 ? '' : target.slice(query)
    return text.length > 1 && text.length <= queryLengthMax ? text : undefined
  }
  return undefined
}

function* links(header: string): Generator<{ target: string; parameters: string }> {
  let at = 0
  while (at < header.length) {
    const open = header.indexOf('<', at)
    const close = open === -1 ? -1 : header.indexOf('>', open)
    if (close === -1) return
    const end = endOfLink(header, close + 1)
    yield { target: header.slice(open + 1, close), parameters: header.slice(close + 1, end) }
    at = end + 1
  }
}

/** Where the comma behind a link stands that is in no quotes. */
function endOfLink(header: string, from: number): number {
  let isQuoted = false
  for (let at = from; at < header.length; at += 1) {
    if (header[at] === '"') isQuoted = !isQuoted
    else if (header[at] === ',' && !isQuoted) return at
  }
  return header.length
}

function isNext(parameters: string): boolean {
  return parameters.split(';').some((parameter) => {
    const equals = parameter.indexOf('=')
    if (equals === -1 || parameter.slice(0, equals).trim().toLowerCase() !== 'rel') return false
    const value = parameter
      .slice(equals + 1)
      .trim()
      .replaceAll('"', '')
    return value.toLowerCase().split(' ').includes('next')
  })
}
