/**
 * @module What a pattern (`pattern.ts`) says of names before any name is there: the components that all
 * of its names begin with.
 */

/** What stands for something else in a glob. */
const SIGNS = /[*?{}[\]]/

/**
 * The leading components of every name that can fit: `team/*` has `team`, a name without signs has all of
 * its components, an expression none.
 */
export function literalComponents(text: string): readonly string[] {
  if (text.startsWith('/')) return []
  const components = text.split('/')
  const first = components.findIndex((component) => SIGNS.test(component))
  return first < 0 ? components : text.slice(0, text.search(SIGNS)).split('/').slice(0, -1)
}

/** Whether it fits one name alone, itself. */
export function isLiteral(text: string): boolean {
  return !text.startsWith('/') && !SIGNS.test(text)
}
