/**
 * @module README.md and the pages of `docs/` as tests read them: headings, links, fenced blocks, the
 * places that comments and documents cite.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'

const root = new URL('../../', import.meta.url)

/** The pages that ship, from the root of the repository. */
export function pageNames(): readonly string[] {
  const pages = readdirSync(new URL('docs', root)).filter((name) => name.endsWith('.md'))
  return ['README.md', 'native-notes.md', ...pages.sort().map((name) => `docs/${name}`)]
}

/** The text of a file of the repository. */
export function textOf(file: string): string {
  return readFileSync(new URL(file, root), 'utf8')
}

/** A fenced block of a page. */
export interface Fence {
  readonly page: string
  /** Line of the fence, from 1. */
  readonly line: number
  readonly language: string
  readonly text: string
  /** What the comment `<!-- not checked: … -->` before it says. */
  readonly notChecked: string | undefined
}

/** The fenced blocks of a page in their order, without the indentation of a list. */
export function fencesOf(page: string): readonly Fence[] {
  const lines = textOf(page).split('\n')
  const found: Fence[] = []
  for (let index = 0; index < lines.length; index += 1) {
    const [, indent, language] = /^( *)```([a-z]*)$/.exec(lines[index]!) ?? []
    if (indent === undefined || language === undefined) continue
    const end = lines.findIndex((line, at) => at > index && line === `${indent}\`\`\``)
    if (end === -1) throw new Error(`${page}:${index + 1}: the block has no end`)
    const text = lines.slice(index + 1, end).map((line) => line.slice(indent.length))
    const before = lines.slice(0, index).findLast((line) => line.trim() !== '') ?? ''
    const [, notChecked] = /^\s*<!-- not checked: (.+) -->$/.exec(before) ?? []
    found.push({ page, line: index + 1, language, text: text.join('\n'), notChecked })
    index = end
  }
  return found
}

/** The anchors of a page: its headings as GitHub makes them, and those that are written out. */
export function anchorsOf(text: string): ReadonlySet<string> {
  const prose = text.replace(/^( *)```[\s\S]*?^\1```$/gm, '')
  const headings = [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
  const named = [...prose.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id!)
  return new Set([...headings, ...named])
}

/** Every relative link of a page that leads nowhere, as it is written. */
export function deadLinks(page: string, isThere: (path: string) => boolean): readonly string[] {
  const prose = textOf(page).replace(/^( *)```[\s\S]*?^\1```$/gm, '')
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target!)
    .filter((target) => !/^https?:/.test(target))
    .filter((target) => {
      const [path = '', anchor] = target.split('#', 2)
      const file = path === '' ? page : posix.join(posix.dirname(page), path)
      if (!isThere(file)) return true
      return anchor !== undefined && !anchorsOf(textOf(file)).has(anchor)
    })
}

/** Documents of the OCI and cosign specifications, which comments cite by their names. */
const SPECIFICATIONS: ReadonlySet<string> = new Set([
  'spec.md',
  'descriptor.md',
  'manifest.md',
  'image-index.md',
  'image-layout.md',
  'media-types.md',
  'SIGNATURE_SPEC.md',
  'SBOM_SPEC.md',
])

/** What a text cites that is not there: documents with their headings, and numbers of invariants. */
export function lostCitations(
  file: string,
  text: string,
  isThere: (path: string) => boolean,
  invariants: ReadonlySet<number>,
): readonly string[] {
  const documents = [...text.matchAll(/(?<![\w./-])((?:[\w-]+\/)*[\w-]+\.md)(?!\w)(?:#([\w-]+))?/g)]
    .filter(([, path]) => !SPECIFICATIONS.has(path!))
    .filter(([, path, anchor]) => {
      const places = ['', posix.dirname(file), 'docs'].map((folder) => posix.join(folder, path!))
      const found = places.find(isThere)
      return found === undefined || (anchor !== undefined && !anchorsOf(textOf(found)).has(anchor))
    })
    .map(([all]) => all)
  const numbers = [...text.matchAll(/\binvariants?:? (\d+)/gi)]
    .filter(([, number]) => !invariants.has(Number(number)))
    .map(([all]) => all)
  // A name of a section behind "README" cannot be checked; a page with its heading can.
  const vague = [...text.matchAll(/\((?:see )?(README|design|the design),? [^)]*\)/g)].map(
    ([all]) => all,
  )
  return [...documents, ...numbers, ...vague]
}

/** The numbers of the invariants in `docs/architecture.md`. */
export function invariantNumbers(): ReadonlySet<number> {
  const text = textOf('docs/architecture.md')
  const from = text.indexOf('\n## What must always hold?\n')
  const section = text.slice(from, text.indexOf('\n## ', from + 4))
  return new Set([...section.matchAll(/^(\d+)\. /gm)].map(([, number]) => Number(number)))
}

/** One row of the table "Where is what I look for?": each file with the name that it exports. */
export interface Place {
  readonly what: string
  readonly file: string
  readonly name: string
}

export function placesOf(page: string): readonly Place[] {
  const text = textOf(page)
  const table = text.slice(text.indexOf('<!-- begin:where -->'), text.indexOf('<!-- end:where -->'))
  const quoted = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, word]) => word!)
  return [...table.matchAll(/^\| (.+?) \| (`.+?`) \| (`.+?`) \|$/gm)].flatMap(
    ([, what, files, names]) =>
      quoted(files!).map((file, index) => ({
        what: what!,
        file,
        name: quoted(names!)[index] ?? '(no name)',
      })),
  )
}
