/**
 * @module The tables of settings for `docs/configuration.md`, made from the schema, so that they cannot
 * disagree with it: one table a section, then what is accepted for later versions.
 */
import { KEYS, ROWS } from '../../src/config/schema.ts'
import type { Setting } from '../../src/config/setting.ts'

/** What each section is about, by the first word of its keys; others have their name alone. */
const TITLES: Readonly<Record<string, string>> = {
  server: 'How is it reached?',
  storage: 'Where is everything, and what is cleaned up?',
  policy: 'What may clients push and delete?',
  workers: 'How many threads write?',
  log: 'What is logged?',
  metrics: 'Are there metrics?',
  ui: 'Are there pages for browsers?',
  limits: 'How much may one client take?',
  audit: 'Who changed what?',
  auth: 'Who are the users?',
  access: 'Who may do what?',
  mirrors: 'Which registries are mirrored?',
  sync: 'Which registries are copied?',
}

/** Markdown: a heading and a table for each section, then a table of what comes later. */
export function settingsMarkdown(): string {
  const available = KEYS.filter((key) => ROWS[key]!.notYet === undefined)
  const later = KEYS.filter((key) => ROWS[key]!.notYet !== undefined)
  const sections = [...new Set(available.map(sectionOf))]
  return [
    ...sections.flatMap((section) => [
      `## ${section}: ${TITLES[section] ?? 'What else can I set?'}`,
      '',
      ...table(
        ['Setting', 'Value', 'Default', 'Meaning', 'Since'],
        available
          .filter((key) => sectionOf(key) === section)
          .map((key) => availableRow(key, ROWS[key]!)),
      ),
      '',
    ]),
    '## What is for later versions?',
    '',
    'A file may have these settings as long as they change nothing. Any other value is refused at start.',
    '',
    ...table(
      ['Setting', 'Value', 'Accepted now', 'Meaning'],
      later.map((key) => laterRow(key, ROWS[key]!)),
    ),
  ].join('\n')
}

function sectionOf(key: string): string {
  return key.split('.', 1)[0]!
}

/** A row says where more is written; on a page of `docs/` that is another page. */
function linked(doc: string): string {
  return doc
    .replaceAll('](#mirrors)', '](mirrors.md)')
    .replaceAll('See Clean-up.', 'See [Clean-up](clean-up.md).')
}

function availableRow(key: string, row: Setting<unknown>): readonly string[] {
  const flag = row.flag === undefined ? '' : ` Flag: \`--${row.flag}\`.`
  return [`\`${key}\``, valueCell(row), defaultCell(row), `${linked(row.doc)}${flag}`, row.since]
}

function laterRow(key: string, row: Setting<unknown>): readonly string[] {
  return [`\`${key}\``, valueCell(row), row.notYet?.accepts ?? '', row.doc]
}

function valueCell(row: Setting<unknown>): string {
  const bounds = row.type.bounds === undefined ? '' : `, ${row.type.bounds}`
  const unit = row.unit === undefined ? '' : ` ${row.unit}`
  return `${row.type.name}${bounds}${unit}`
}

function defaultCell(row: Setting<unknown>): string {
  return row.default === '' ? 'none' : `\`${JSON.stringify(row.default).replaceAll('"', '')}\``
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
}
