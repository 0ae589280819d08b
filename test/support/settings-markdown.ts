/**
 * @module The table of settings for README, made from the schema, so that it cannot disagree.
 */
import { KEYS, ROWS } from '../../src/config/schema.ts'
import type { Setting } from '../../src/config/setting.ts'

/** Markdown: a table of what is built, then what is accepted for later versions. */
export function settingsMarkdown(): string {
  const available = KEYS.filter((key) => ROWS[key]!.notYet === undefined)
  const later = KEYS.filter((key) => ROWS[key]!.notYet !== undefined)
  return [
    ...table(
      ['Setting', 'Value', 'Default', 'Meaning', 'Since'],
      available.map((key) => availableRow(key, ROWS[key]!)),
    ),
    '',
    'These settings belong to later versions. A file may carry them as long as they change nothing;',
    'any other value is refused at start.',
    '',
    ...table(
      ['Setting', 'Value', 'Accepted now', 'Meaning'],
      later.map((key) => laterRow(key, ROWS[key]!)),
    ),
  ].join('\n')
}

function availableRow(key: string, row: Setting<unknown>): readonly string[] {
  const flag = row.flag === undefined ? '' : ` Flag: \`--${row.flag}\`.`
  return [`\`${key}\``, valueCell(row), defaultCell(row), `${row.doc}${flag}`, row.since]
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
