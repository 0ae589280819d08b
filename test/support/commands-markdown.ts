/**
 * @module The table of commands for the documents, made from the table that the parser reads.
 */
import { COMMANDS } from '../../src/cli/commands.ts'
import { callOf } from '../../src/cli/help.ts'

/** Markdown: a row for each command, with the other words for it. */
export function commandsMarkdown(): string {
  const rows = COMMANDS.map((command) => {
    const { aliases = [], chosenBy, flags, summary } = command
    const own = Object.entries(flags)
      .filter(([name]) => name !== chosenBy)
      .map(([name, { value }]) => ` [--${name}${value === undefined ? '' : ` ${value}`}]`)
    const call = `${callOf(command)}${own.join('')}`
    const others = aliases.map((words) => `; also \`${words.join(' ')}\``).join('')
    return `| \`${call.replaceAll('|', '\\|')}\` | ${summary}${others} |`
  })
  return ['| `fastregistry …` | What it does |', '| --- | --- |', ...rows].join('\n')
}
