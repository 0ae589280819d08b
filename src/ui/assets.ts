/**
 * @module The files of the pages (`dist/ui`), read once at the start: under a megabyte in all. Each has
 * its packed forms beside it. The document gets the title and the address of this registry.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'

/** How the bytes of a file are packed. */
export type Coding = 'identity' | 'gzip' | 'br'

export interface PageFile {
  readonly contentType: string
  /** The name changes with the bytes, so a browser may keep it for ever. */
  readonly isHashed: boolean
  /** `identity` is always there. */
  readonly forms: Readonly<Partial<Record<Coding, Uint8Array>>>
  /** Of the bytes before they were packed: a word without quotes. */
  readonly etag: string
}

/** By the path below `/ui/`; the document is `''`. */
export type PageFiles = ReadonlyMap<string, PageFile>

export interface PageOptions {
  readonly title: string
  /** Host and port of pull commands; undefined: those of the browser's address line. */
  readonly publicAddress: string | undefined
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

const PACKED: Readonly<Record<string, Coding>> = { '.gz': 'gzip', '.br': 'br' }

/** Characters that a name has of its bytes, in front of its ending. */
const hashLength = 8

/** The folder that the build has written, seen from `src/` and from `dist/src/` alike. */
export function builtPages(): URL {
  const isCompiled = import.meta.url.includes('/dist/src/')
  return new URL(isCompiled ? '../../ui/' : '../../dist/ui/', import.meta.url)
}

/** Undefined where the pages were not built. */
export async function readPages(
  options: PageOptions,
  folder: URL = builtPages(),
): Promise<PageFiles | undefined> {
  const names = await readdir(folder).catch((): string[] => [])
  if (!names.includes('index.html')) return undefined
  const files = new Map<string, PageFile>()
  for (const name of names) {
    const contentType = TYPES[extname(name)]
    if (contentType === undefined) continue
    const bytes = await readFile(new URL(name, folder))
    if (name === 'index.html') files.set('', documentOf(bytes.toString(), contentType, options))
    else files.set(name, await fileOf(name, bytes, contentType, names, folder))
  }
  return files
}

async function fileOf(
  name: string,
  bytes: Uint8Array,
  contentType: string,
  names: readonly string[],
  folder: URL,
): Promise<PageFile> {
  const forms: Partial<Record<Coding, Uint8Array>> = { identity: bytes }
  for (const [end, coding] of Object.entries(PACKED)) {
    if (names.includes(name + end)) forms[coding] = await readFile(new URL(name + end, folder))
  }
  // `main-C79mqUVV.js`
  const isHashed = name[name.lastIndexOf('.') - hashLength - 1] === '-'
  return { contentType, isHashed, forms, etag: etagOf(bytes) }
}

/** The document with what the operator has set, as attributes: they are text, whatever they hold. */
function documentOf(html: string, contentType: string, options: PageOptions): PageFile {
  const { title, publicAddress = '' } = options
  const text = html
    .replaceAll('%TITLE%', () => escaped(title))
    .replaceAll('%ADDRESS%', () => escaped(publicAddress))
  const identity = Buffer.from(text)
  const forms = { identity, gzip: gzipSync(identity), br: brotliCompressSync(identity) }
  return { contentType, isHashed: false, forms, etag: etagOf(identity) }
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}

function etagOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url').slice(0, 20)
}
