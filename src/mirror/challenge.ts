/**
 * @module `WWW-Authenticate` as registries send it: the first Bearer challenge, else Basic.
 */

export type Challenge =
  | { readonly scheme: 'basic' }
  | { readonly scheme: 'bearer'; readonly realm: string; readonly service: string | undefined }

const PARAMETER = /([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi

/** Undefined when no scheme of ours is offered. */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  if (header === undefined || header.length > 4096) return undefined
  const bearer = /(?:^|,)\s*bearer\s+(.*)$/is.exec(header)?.[1]
  if (bearer !== undefined) {
    const parameters = new Map<string, string>()
    for (const [, name, quoted, bare] of bearer.matchAll(PARAMETER)) {
      const key = name!.toLowerCase()
      if (!parameters.has(key)) parameters.set(key, (quoted ?? bare ?? '').replace(/\\(.)/g, '$1'))
    }
    const realm = parameters.get('realm')
    if (realm !== undefined) {
      return { scheme: 'bearer', realm, service: parameters.get('service') }
    }
  }
  return /(?:^|,)\s*basic(?:\s|$)/i.test(header) ? { scheme: 'basic' } : undefined
}
