/**
 * @module Patterns of access rules, as far as a page has to judge them: what to leave out.
 */

/**
 * Globs as the rules have them, by a walk that is linear in the states of the pattern. What a page cannot
 * judge (an expression) fits: the server has the last word.
 */
export function fits(pattern: string, name: string): boolean {
  if (pattern === '**') return true
  if (/[{}[\]!]/.test(pattern) || (pattern.startsWith('/') && pattern.endsWith('/'))) return true
  let states = new Set([0])
  const close = (all: Set<number>, isStart: boolean) => {
    for (const at of all) {
      // No component at all, so only where one may begin.
      if (isStart && pattern.startsWith('**/', at)) all.add(at + 3)
      if (pattern[at] === '*') all.add(at + (pattern[at + 1] === '*' ? 2 : 1))
    }
    return all
  }
  close(states, true)
  for (const sign of name) {
    const next = new Set<number>()
    for (const at of states) {
      const isDeep = pattern.startsWith('**', at)
      if (isDeep || (pattern[at] === '*' && sign !== '/')) next.add(at)
      else if (pattern[at] === sign || (pattern[at] === '?' && sign !== '/')) next.add(at + 1)
    }
    states = close(next, sign === '/')
  }
  return states.has(pattern.length)
}
