/**
 * @module What has no setting in a native module that is loaded: how often a repeating timer of its
 * own fires, and a table of texts that it sends. Both are looked for by what they are, and left alone
 * where they are not found exactly once: then the module behaves as it came.
 */
import { readFileSync } from 'node:fs'
import { bindKoffi, type Koffi } from './libc.ts'

const UV_POLL = 8
const UV_TIMER = 13
const PROT_READ = 1
const PROT_WRITE = 2
const PAGE_BYTES = 4096n

/** A repeating timer on the main thread's event loop. */
export interface RepeatingTimer {
  readonly repeatMs: number
  /** Fires in this distance from now on, ms. */
  repeat(ms: number): void
}

export interface LoadedBinary {
  /** The repeating timers of the main thread's event loop. */
  repeatingTimers(): readonly RepeatingTimer[]
  /** Descriptors that native code waits for on the main thread's event loop now. */
  watchedDescriptors(): ReadonlySet<number>
  /** Where the bytes are that native code has lent for the duration of a call. */
  addressOf(bytes: ArrayBuffer): bigint
  /** What is in memory before an address that native code reads into, as latin1. `count` of it must be. */
  textBefore(address: bigint, count: number): string
  /**
   * Replaces texts in a table of `(length, pointer)` pairs of the module whose file is named so. The
   * key is how the present text begins. How many were replaced; those that are not found once stay.
   */
  replaceTexts(fileName: string, texts: ReadonlyMap<string, string>): number
}

/** The calls, or the reason why they cannot be had here. */
export function loadLoadedBinary(): LoadedBinary | { readonly unavailable: string } {
  return bindKoffi(bind)
}

function bind(koffi: Koffi): LoadedBinary {
  const self = koffi.load(null)
  const loop = self.func('void *uv_default_loop()')
  const typeOf = self.func('int uv_handle_get_type(void *)')
  const getRepeat = self.func('uint64_t uv_timer_get_repeat(void *)')
  const setRepeat = self.func('void uv_timer_set_repeat(void *, uint64_t)')
  const again = self.func('int uv_timer_again(void *)')
  const isActive = self.func('int uv_is_active(void *)')
  const fileNumber = self.func('int uv_fileno(void *, _Out_ int *)')
  const visitor = koffi.pointer(koffi.proto('void', ['void *', 'void *']))
  const walk = self.func('uv_walk', 'void', ['void *', visitor, 'void *'])
  const mprotect = koffi.load('libc.so.6').func('int mprotect(uint64_t, size_t, int)')
  return {
    repeatingTimers() {
      const found: RepeatingTimer[] = []
      const visit = koffi.register((handle) => {
        const repeatMs = typeOf(handle) === UV_TIMER ? Number(getRepeat(handle)) : 0
        if (repeatMs === 0) return
        found.push({
          repeatMs,
          repeat(ms) {
            setRepeat(handle, ms)
            again(handle)
          },
        })
      }, visitor)
      walk(loop(), visit, null)
      koffi.unregister(visit)
      return found
    },
    watchedDescriptors() {
      const found = new Set<number>()
      const descriptor = [0]
      const visit = koffi.register((handle) => {
        if (typeOf(handle) !== UV_POLL || isActive(handle) === 0) return
        if (fileNumber(handle, descriptor) === 0) found.add(descriptor[0]!)
      }, visitor)
      walk(loop(), visit, null)
      koffi.unregister(visit)
      return found
    },
    addressOf: (bytes) => BigInt(koffi.address(Buffer.from(bytes))),
    textBefore: (address, count) =>
      Buffer.from(koffi.view(address - BigInt(count), count)).toString('latin1'),
    replaceTexts(fileName, texts) {
      const areas = readableAreas(fileName).map((area) => ({
        ...area,
        bytes: Buffer.from(koffi.view(area.start, area.length)),
      }))
      let replaced = 0
      for (const [beginning, text] of texts) {
        const [at, ...others] = areas.flatMap(({ start, bytes }) => {
          const index = bytes.indexOf(beginning)
          return index < 0 ? [] : [{ address: start + BigInt(index), bytes, index }]
        })
        if (at === undefined || others.length > 0) continue
        const pair = Buffer.alloc(16)
        pair.writeBigUInt64LE(BigInt(at.bytes.indexOf(0, at.index) - at.index), 0)
        pair.writeBigUInt64LE(at.address, 8)
        const places = areas.flatMap(({ start, bytes }) => {
          const index = bytes.indexOf(pair)
          return index < 0 ? [] : [start + BigInt(index)]
        })
        if (places.length !== 1) continue
        const kept = keep(text)
        pair.writeBigUInt64LE(BigInt(kept.length), 0)
        pair.writeBigUInt64LE(BigInt(koffi.address(kept)), 8)
        if (overwrite(places[0]!, pair)) replaced += 1
      }
      return replaced
    },
  }

  function overwrite(address: bigint, bytes: Buffer): boolean {
    const page = address - (address % PAGE_BYTES)
    const length = Number(address - page) + bytes.length
    if (mprotect(page, length, PROT_READ | PROT_WRITE) !== 0) return false
    Buffer.from(koffi.view(address, bytes.length)).set(bytes)
    // The table is read-only after loading, and is again.
    mprotect(page, length, PROT_READ)
    return true
  }
}

/** The native side keeps pointing to these: they stay as long as the process. */
const keptTexts: Buffer[] = []

function keep(text: string): Buffer {
  const bytes = Buffer.from(new ArrayBuffer(Buffer.byteLength(text)))
  bytes.write(text)
  keptTexts.push(bytes)
  return bytes
}

interface Area {
  readonly start: bigint
  readonly length: number
}

/** What of a loaded file is mapped for reading alone: its constants. */
function readableAreas(fileName: string): readonly Area[] {
  const areas: Area[] = []
  for (const line of readFileSync('/proc/self/maps', 'latin1').split('\n')) {
    if (!line.endsWith(fileName)) continue
    const [range = '', access] = line.split(' ', 2)
    const [from = '', to = ''] = range.split('-')
    if (access !== 'r--p') continue
    const start = BigInt(`0x${from}`)
    areas.push({ start, length: Number(BigInt(`0x${to}`) - start) })
  }
  return areas
}
