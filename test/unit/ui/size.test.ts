/**
 * What a browser has to fetch, as the build has written it: a page that grows is slow for everybody, so
 * its size has a bound.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { builtPages } from '../../../src/ui/assets.ts'

const folder = builtPages()
const names = readdirSync(folder)
const packed = (name: string) => gzipSync(readFileSync(new URL(name, folder))).byteLength
const sum = (end: string) =>
  names.filter((name) => name.endsWith(end)).reduce((bytes, name) => bytes + packed(name), 0)

test('the script of the first screen has at most 40 kB, all scripts 120 kB, the style 10 kB', () => {
  const first = names.find((name) => /^main-.*\.js$/.test(name))!
  expect(packed(first)).toBeLessThanOrEqual(40_000)
  expect(sum('.js')).toBeLessThanOrEqual(120_000)
  expect(sum('.css')).toBeLessThanOrEqual(10_000)
})

test('they are few files: a browser opens six connections', () => {
  const files = names.filter((name) => !/\.(?:gz|br)$/.test(name))
  expect(files.length).toBeLessThanOrEqual(6)
})

test('every script and style has both packed forms beside it', () => {
  const files = names.filter((name) => /\.(?:js|css)$/.test(name))
  expect(files.filter((name) => !names.includes(`${name}.gz`))).toEqual([])
  expect(files.filter((name) => !names.includes(`${name}.br`))).toEqual([])
})

test('the document holds no script, no style and no address of another host', () => {
  const html = readFileSync(new URL('index.html', folder), 'utf8')
  expect(html).not.toMatch(/<script(?![^>]* src="\.\/)[^>]*>|<style|style=|https?:|\son[a-z]+=/)
})
