/**
 * @module Messages of libraries, which may have several lines, as one line of a terminal.
 */

/** The text with every line break, and the blanks around it, as one blank. */
export function oneLine(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
}
