/**
 * Lets the current uWebSockets.js binaries load where glibc is 2.36 or 2.37, so that tests there see
 * what users of newer systems run. For tests alone: nobody ships this.
 *
 *   node .ci/relax-glibc.mjs        (in a folder with node_modules)
 *
 * All that the binaries want of 2.38 is `__isoc23_strtol` and its like: `strtol`, but for numbers that
 * begin with 0b. The prefix is cut off such a name, its version may be any, and 2.38 becomes a wish
 * (ELF-64: .dynsym, .gnu.version and .gnu.version_r; Linux Standard Base, "Symbol Versioning").
 */
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const prefix = '__isoc23_'
const wishedVersion = 'GLIBC_2.38'
const anyVersion = 1
const weakFlag = 2
const symbolBytes = 24

for (const name of readdirSync('node_modules')) {
  const file = join('node_modules', name, 'uws.node')
  if (!name.startsWith('uWebSockets.js-') || !existsSync(file)) continue
  const elf = readFileSync(file)
  console.log(`${name}: ${relax(elf)} names relaxed`)
  // As a new file: npm may share the old one with other folders.
  writeFileSync(`${file}.new`, elf)
  renameSync(`${file}.new`, file)
}

function relax(elf) {
  const u16 = (at) => elf.readUInt16LE(at)
  const u32 = (at) => elf.readUInt32LE(at)
  const u64 = (at) => Number(elf.readBigUInt64LE(at))
  const text = (at) => elf.toString('latin1', at, elf.indexOf(0, at))

  const sections = new Map()
  const [headers, headerBytes, count] = [u64(40), u16(58), u16(60)]
  const titles = u64(headers + u16(62) * headerBytes + 24)
  for (let index = 0; index < count; index += 1) {
    const at = headers + index * headerBytes
    const section = { at: u64(at + 24), bytes: u64(at + 32), entries: u32(at + 44) }
    sections.set(text(titles + u32(at)), section)
  }
  const strings = sections.get('.dynstr').at
  const symbols = sections.get('.dynsym')
  const versions = sections.get('.gnu.version').at
  const needs = sections.get('.gnu.version_r')

  let relaxed = 0
  for (let index = 0; index * symbolBytes < symbols.bytes; index += 1) {
    const at = symbols.at + index * symbolBytes
    if (!text(strings + u32(at)).startsWith(prefix)) continue
    elf.writeUInt32LE(u32(at) + prefix.length, at)
    elf.writeUInt16LE(anyVersion, versions + index * 2)
    relaxed += 1
  }
  // A chain of libraries, each with a chain of the versions that are needed of it.
  for (let at = needs.at, left = needs.entries; left > 0; left -= 1, at += u32(at + 12)) {
    for (
      let aux = at + u32(at + 8), more = u16(at + 2);
      more > 0;
      more -= 1, aux += u32(aux + 12)
    ) {
      if (text(strings + u32(aux + 8)) !== wishedVersion) continue
      elf.writeUInt16LE(u16(aux + 4) | weakFlag, aux + 4)
    }
  }
  return relaxed
}
