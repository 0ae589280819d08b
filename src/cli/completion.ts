/**
 * @module `fastregistry completion bash|zsh|fish`: completion scripts, made from the table of
 * commands. They offer the words of commands, flags, and files. They start no process.
 */
import { type Command, type RunCommand, wordsOf } from './command.ts'
import { flagsOf } from './flags.ts'
import { followersOf } from './parse.ts'

export const completion: RunCommand = async ({ operands, commands }, terminal) => {
  terminal.print(completionScript(operands[0]!, commands))
  return 0
}

/** The script for `bash`, `zsh` or `fish`. */
export function completionScript(shell: string, commands: readonly Command[]): string {
  const entries = entriesOf(commands)
  if (shell === 'bash') return bash(entries)
  return shell === 'zsh' ? zsh(entries) : fish(commands, entries)
}

/** What may follow some words of commands. */
interface Entry {
  /** `gc plan`; empty: nothing was typed yet. */
  readonly path: string
  readonly next: readonly string[]
  readonly flags: readonly string[]
}

/** Longest first, so that the first one that fits is the right one. */
function entriesOf(commands: readonly Command[]): readonly Entry[] {
  const all = new Map<string, { next: Set<string>; flags: Set<string> }>()
  const at = (path: string) => {
    const entry = all.get(path) ?? { next: new Set(), flags: new Set() }
    all.set(path, entry)
    return entry
  }
  for (const command of commands) {
    for (const words of wordsOf(command)) {
      for (const [index, word] of words.entries())
        at(words.slice(0, index).join(' ')).next.add(word)
      const entry = at(words.join(' '))
      for (const name of [...Object.keys(flagsOf(command)), 'help']) entry.flags.add(`--${name}`)
      for (const value of command.operands[0]?.values ?? []) entry.next.add(value)
    }
  }
  // Without a command it is `serve` whose flags count.
  for (const flag of at('serve').flags) at('').flags.add(flag)
  return [...all]
    .map(([path, { next, flags }]) => ({ path, next: [...next], flags: [...flags] }))
    .sort(
      (a, b) =>
        b.path.split(' ').length - a.path.split(' ').length || a.path.length - b.path.length,
    )
}

/** Cases of `line`, the words of commands so far with a blank in front of each. */
function cases(entries: readonly Entry[], indent: string): string {
  return entries
    .filter(({ path }) => path !== '')
    .map(
      ({ path, next, flags }) =>
        `${indent}' ${path}'|' ${path} '*) next='${next.join(' ')}' flags='${flags.join(' ')}' ;;`,
    )
    .join('\n')
}

function first(entries: readonly Entry[]): Entry {
  return entries.find(({ path }) => path === '')!
}

function bash(entries: readonly Entry[]): string {
  const { next, flags } = first(entries)
  return `# bash completion of fastregistry; made by: fastregistry completion bash
_fastregistry() {
  local current="\${COMP_WORDS[COMP_CWORD]}" line='' word next flags
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] || line="$line $word"
  done
  case "$line" in
${cases(entries, '    ')}
    '') next='${next.join(' ')}' flags='${flags.join(' ')}' ;;
    *) next='' flags='--help' ;;
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [[ -n $next ]]; then
    COMPREPLY=($(compgen -W "$next" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o default -F _fastregistry fastregistry`
}

function zsh(entries: readonly Entry[]): string {
  const { next, flags } = first(entries)
  return `#compdef fastregistry
# zsh completion of fastregistry; made by: fastregistry completion zsh
_fastregistry() {
  local line='' word next flags
  for word in "\${(@)words[2,CURRENT-1]}"; do
    [[ $word == -* ]] || line="$line $word"
  done
  case "$line" in
${cases(entries, '    ')}
    '') next='${next.join(' ')}' flags='${flags.join(' ')}' ;;
    *) next='' flags='--help' ;;
  esac
  if [[ $PREFIX == -* ]]; then
    compadd -- \${=flags}
  elif [[ -n $next ]]; then
    compadd -- \${=next}
  else
    _files
  fi
}
compdef _fastregistry fastregistry`
}

/** Text inside single quotes of fish. */
function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`
}

function fish(commands: readonly Command[], entries: readonly Entry[]): string {
  const lines = entries.flatMap(({ path, next }) => {
    const seen = path.split(' ').filter((word) => word !== '')
    const condition = conditionOf(seen, next)
    const words = next.map((word) => {
      const summary = summaryOf([...seen, word], commands)
      return `complete -c fastregistry -f -n ${quoted(condition)} -a ${word} -d ${quoted(summary)}`
    })
    return words
  })
  const flags = commands.flatMap((command) =>
    wordsOf(command).flatMap((words) =>
      Object.entries(flagsOf(command)).map(([name, { summary, value }]) => {
        const needsValue = value === undefined ? '' : ' -r'
        const condition = conditionOf(words, followersOf(words, commands))
        return `complete -c fastregistry -n ${quoted(condition)} -l ${name}${needsValue} -d ${quoted(summary)}`
      }),
    ),
  )
  return [
    '# fish completion of fastregistry; made by: fastregistry completion fish',
    ...new Set([...lines, ...flags]),
  ].join('\n')
}

/** These words were typed, and none that may follow them. */
function conditionOf(seen: readonly string[], next: readonly string[]): string {
  if (seen.length === 0) return '__fish_use_subcommand'
  const typed = seen.map((word) => `__fish_seen_subcommand_from ${word}`)
  const not = next.length === 0 ? [] : [`not __fish_seen_subcommand_from ${next.join(' ')}`]
  return [...typed, ...not].join('; and ')
}

/** What a word does; of a group or a value nothing can be said in one line. */
function summaryOf(words: readonly string[], commands: readonly Command[]): string {
  const path = words.join(' ')
  const found = commands.find((command) => wordsOf(command).some((one) => one.join(' ') === path))
  return found?.summary ?? ''
}
