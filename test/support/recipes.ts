/**
 * @module The recipes of `docs/contributing.md` as steps that a program can follow: new files, and
 * lines below or instead of a line that is there.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export type Step =
  | { readonly kind: 'file'; readonly file: string; readonly text: string }
  | {
      readonly kind: 'below' | 'instead'
      readonly file: string
      /** The line that is there, without its indentation. */
      readonly line: string
      readonly text: string
    }

export interface Recipe {
  /** The heading above it: "How do I add a metric?" */
  readonly title: string
  readonly steps: readonly Step[]
}

const STEP =
  /^\d+\. (?:New file `([^`]+)`|In `([^`]+)`, (below|instead of) the line `([^`]+)`):\n\n {3}```ts\n([\s\S]*?)^ {3}```$/gm

/** Every recipe of the page: what stands behind a mark `<!-- recipe -->` up to the next heading. */
export function recipesOf(page: string): readonly Recipe[] {
  const sections = page.split(/^## /m).filter((section) => section.includes('<!-- recipe -->'))
  return sections.map((section) => {
    const title = section.slice(0, section.indexOf('\n'))
    const steps = [...section.matchAll(STEP)].map(([, added, file, how, line, code]): Step => {
      const text = code!.replace(/^ {3}/gm, '')
      if (added !== undefined) return { kind: 'file', file: added, text }
      const kind = how === 'below' ? 'below' : 'instead'
      return { kind, file: file!, line: line!, text }
    })
    const blocks = section.split('```ts\n').length - 1
    if (steps.length !== blocks) throw new Error(`${title}: a block that belongs to no step`)
    return { title, steps }
  })
}

/** Follows a recipe below `folder`. Throws where a line is not there, or more than once. */
export function follow({ title, steps }: Recipe, folder: string): void {
  for (const step of steps) {
    const path = join(folder, step.file)
    if (step.kind === 'file') {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, step.text, { flag: 'wx' })
      continue
    }
    const lines = readFileSync(path, 'utf8').split('\n')
    const found = lines.flatMap((line, index) => (line.trim() === step.line ? [index] : []))
    if (found.length !== 1) {
      throw new Error(`${title}: ${step.file} has ${found.length} times the line ${step.line}`)
    }
    const [at] = found as [number]
    lines.splice(
      ...([step.kind === 'below' ? at + 1 : at, step.kind === 'below' ? 0 : 1] as const),
      step.text.trimEnd(),
    )
    writeFileSync(path, lines.join('\n'))
  }
}
