/**
 * @module Files that people write by hand, on any system: UTF-8 with or without a byte order mark.
 */
import { readFile } from 'node:fs/promises'

const mark = '\ufeff'

/** The text of a file without its byte order mark. Rejects for UTF-16, which Windows may write. */
export async function readText(path: string): Promise<string> {
  return textOf(await readFile(path))
}

/** The same for bytes that were read already. Throws for UTF-16. */
export function textOf(bytes: Buffer): string {
  const [first, second] = bytes
  const isMarked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)
  if (isMarked || (bytes.length > 1 && (first === 0 || second === 0))) {
    throw new Error('it is UTF-16 text; save it as UTF-8')
  }
  const text = bytes.toString('utf8')
  return text.startsWith(mark) ? text.slice(1) : text
}
