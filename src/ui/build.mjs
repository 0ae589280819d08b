#!/usr/bin/env node
/**
 * @module Builds the pages of `src/ui/page` to `dist/ui`, with a `.gz` and a `.br` beside each file that
 * gets smaller by it. Part of `npm run build`; nothing of it runs in the server.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'vite'

const root = fileURLToPath(new URL('page', import.meta.url))
const outDir = fileURLToPath(new URL('../../dist/ui', import.meta.url))

await build({
  root,
  configFile: false,
  // A proxy may serve the registry below a path of its own.
  base: './',
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir,
    emptyOutDir: true,
    assetsDir: '',
    // The policy of the page allows no script and no image inside the document.
    assetsInlineLimit: 0,
    modulePreload: false,
    target: 'es2022',
    cssCodeSplit: false,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        entryFileNames: 'main-[hash].js',
        chunkFileNames: '[name]-[hash].js',
        assetFileNames: '[name]-[hash][extname]',
      },
    },
  },
})

const worth = (bytes, packed) => packed.byteLength < bytes.byteLength * 0.95
for (const name of readdirSync(outDir)) {
  // The server writes its title into the document, and packs it itself.
  if (name === 'index.html') continue
  const path = join(outDir, name)
  const bytes = readFileSync(path)
  const gzip = gzipSync(bytes, { level: 9 })
  const brotli = brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  })
  if (worth(bytes, gzip)) writeFileSync(`${path}.gz`, gzip)
  if (worth(bytes, brotli)) writeFileSync(`${path}.br`, brotli)
}
