/**
 * @module The C library's calls for mapped files, early write-back, locks, receive queues and turns
 * on a core. The only user of koffi. Loaded on demand, on the main thread and in workers: where it does not load
 * (or not on Linux) `loadLibc` says why and callers fall back.
 *
 * A view made here reads memory that `unmap` takes away: whoever maps owns the discipline.
 */
import { createRequire } from 'node:module'

const PROT_NONE = 0
const PROT_READ = 1
const MAP_SHARED = 1
const MAP_PRIVATE = 2
const MAP_FIXED = 0x10
const MAP_ANONYMOUS = 0x20
const MAP_NORESERVE = 0x4000
const MADV_WILLNEED = 3
const POSIX_FADV_WILLNEED = 3
const MADV_POPULATE_READ = 22
const PAGE_BYTES_MIN = 4096
/** What one call asks the disk for at most: the kernel cuts longer ones off at the device's largest request. */
const WILLNEED_BYTES = 512 * 1024
const SYNC_FILE_RANGE_WRITE = 2
const FIONREAD = 0x541b
const SOL_SOCKET = 1
const SO_RCVBUF = 8
const SO_ACCEPTCONN = 30
const IPPROTO_TCP = 6
const TCP_INFO = 11
const TCP_NOTSENT_LOWAT = 25
/** Where `struct tcp_info` keeps the round trip, of what is sent and of what is received, in µs. */
const TCP_INFO_RTT = 68
const TCP_INFO_RECEIVED_RTT = 92
const TCP_INFO_BYTES = 96
/** `sched_setattr` has no function in the C library before glibc 2.41. */
const SCHED_SETATTR: Readonly<Record<string, number>> = { x64: 314, arm64: 274 }
const SCHED_ATTR_BYTES = 48
const SCHED_ATTR_FLAGS = 8
const SCHED_ATTR_NICE = 16
const SCHED_ATTR_RUNTIME = 24
const SCHED_FLAG_RESET_ON_FORK = 1n
const SCHED_OTHER = 0
const SCHED_IDLE = 5
const LOCK_EX = 2
const LOCK_NB = 4
const EWOULDBLOCK = 11

export interface Libc {
  /** Addresses that nothing else gets, without memory behind them: touching one ends the process. Throws with `code`. */
  reserve(length: number): bigint
  /** Maps a file read-only at reserved addresses; the descriptor may be closed afterwards. Throws with `code`. */
  map(address: bigint, descriptor: number, length: number): void
  /** Takes a file away; its addresses stay reserved. Throws with `code`. */
  vacate(address: bigint, length: number): void
  /** Gives reserved addresses back, with what is mapped there. */
  unmap(address: bigint, length: number): void
  /** The mapped bytes as an ArrayBuffer without a copy (25 µs). Never touch it after `unmap`. */
  view(address: bigint, length: number): ArrayBuffer
  /** Asks the disk for pages of a mapped file without waiting for them. Errors are left for `populate`. */
  startReading(address: bigint, length: number): void
  /** The same for the first `length` bytes of a file, 512 KiB at most. */
  startReadingFile(descriptor: number, length: number): void
  /** Whether all pages of a mapped file are in memory; true where the system does not say it. */
  isInMemory(address: bigint, length: number): boolean
  /**
   * Reads pages into memory and into this process's page table. A disk error or a truncated file
   * throws instead of raising SIGBUS. Linux 5.14 or newer.
   */
  populate(address: bigint, length: number): void
  /**
   * Bytes that wait in a socket's receive queue; 0 for what is no socket.
   */
  queuedBytes(descriptor: number): number
  /** Whether the descriptor is a socket that accepts connections. */
  isListening(descriptor: number): boolean
  /**
   * Bounds what a socket, or each that a listener accepts, holds beyond what is in flight. Writes
   * take no more meanwhile.
   */
  limitUnsent(descriptor: number, bytes: number): void
  /** The bound that `limitUnsent` set, bytes; 0 for none. */
  unsentLimit(descriptor: number): number
  /**
   * The kernel's estimate of a connection's round trip, µs; 0 before there is one, undefined for what is
   * none. The smaller of two: where the accept was deferred, the first of them begins with the time that
   * the client took for its request, and is never mended for a client that only sends.
   */
  roundTripUs(descriptor: number): number | undefined
  /** Bounds a connected socket's receive queue to about `bytes`. */
  limitReceiveQueue(descriptor: number, bytes: number): void
  /**
   * Asks for turns of `nanoseconds` on a core, 100,000 to 100,000,000, for the calling thread, of
   * which `niceness` is kept; threads that it starts have the usual ones again. Whoever asks for short
   * turns takes the core from one that has a long one. Linux 6.12; older ones take the call and change
   * nothing. False where there is no such call, it is not allowed, or somebody chose another scheduler
   * for the thread. See sched_setattr(2).
   */
  shortenTurns(nanoseconds: number, niceness: number): boolean
  /**
   * Lets the calling thread run where nobody else wants to: whoever does takes the core at once. False
   * where it is not allowed. See sched(7), SCHED_IDLE.
   */
  runWhereIdle(): boolean
  /** Starts writing a range of a file back without waiting. Errors are left for `fdatasync`. */
  startWriteBack(descriptor: number, offset: number, length: number): void
  /**
   * Takes the one lock of an open file (`flock`), which goes with the descriptor or the process.
   * False when somebody else holds it; throws where the file system has no locks.
   */
  lock(descriptor: number): boolean
}

export type Call = (...parameters: unknown[]) => unknown

interface KoffiLibrary {
  func(prototype: string): Call
  func(name: string, result: string, parameters: readonly unknown[]): Call
}

/** The part of koffi that we use. */
export interface Koffi {
  /** A library by its name; null: what is loaded already. */
  load(name: string | null): KoffiLibrary
  view(pointer: bigint, length: number): ArrayBuffer
  address(pointer: unknown): bigint
  proto(result: string, parameters: readonly string[]): unknown
  pointer(type: unknown): unknown
  register(callback: (...parameters: unknown[]) => unknown, type: unknown): unknown
  unregister(callback: unknown): void
  errno(): number
}

const ERRNO: Readonly<Record<number, string>> = {
  5: 'EIO',
  12: 'ENOMEM',
  14: 'EFAULT',
  22: 'EINVAL',
  23: 'ENFILE',
  24: 'EMFILE',
  37: 'ENOLCK',
  38: 'ENOSYS',
  95: 'EOPNOTSUPP',
}

/** The calls, or the reason why they cannot be had here. */
export function loadLibc(): Libc | { readonly unavailable: string } {
  return bindKoffi(bind)
}

/** What `bindCalls` makes of koffi, or the reason why that cannot be had here. */
export function bindKoffi<T>(bindCalls: (koffi: Koffi) => T): T | { readonly unavailable: string } {
  if (process.platform !== 'linux') return { unavailable: `not on ${process.platform}` }
  try {
    return bindCalls(createRequire(import.meta.url)('koffi') as Koffi)
  } catch (error) {
    return { unavailable: error instanceof Error ? error.message : String(error) }
  }
}

function bind(koffi: Koffi): Libc {
  const libc = koffi.load('libc.so.6')
  const ioctl = libc.func('int ioctl(int, unsigned long, _Out_ int *)')
  const setsockopt = libc.func('int setsockopt(int, int, int, int *, unsigned int)')
  const getsockopt = libc.func('int getsockopt(int, int, int, _Out_ int *, _Inout_ unsigned int *)')
  const getsockoptBytes = libc.func('int getsockopt(int, int, int, void *, _Inout_ unsigned int *)')
  const setScheduler = libc.func('int sched_setscheduler(int, int, int *)')
  const getScheduler = libc.func('int sched_getscheduler(int)')
  const syscall = libc.func('long syscall(long, long, void *, unsigned int)')
  const syncFileRange = libc.func('int sync_file_range(int, int64_t, int64_t, unsigned int)')
  const flock = libc.func('int flock(int, int)')
  const fault = (call: string) => {
    const errno = koffi.errno()
    const code = ERRNO[errno] ?? `E${errno}`
    return Object.assign(new Error(`${call} failed: ${code}`), { code })
  }
  return {
    ...bindMemory(koffi, libc, fault),
    queuedBytes(descriptor) {
      const count = [0]
      return ioctl(descriptor, FIONREAD, count) === 0 ? count[0]! : 0
    },
    isListening(descriptor) {
      const value = [0]
      return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, value, [4]) === 0 && value[0] === 1
    },
    limitUnsent(descriptor, bytes) {
      setsockopt(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, [bytes], 4)
    },
    unsentLimit(descriptor) {
      const value = [0]
      const failed = getsockopt(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, value, [4]) !== 0
      return failed ? 0 : value[0]!
    },
    roundTripUs(descriptor) {
      const info = Buffer.alloc(TCP_INFO_BYTES)
      const failed =
        getsockoptBytes(descriptor, IPPROTO_TCP, TCP_INFO, info, [TCP_INFO_BYTES]) !== 0
      if (failed) return undefined
      const sent = info.readUInt32LE(TCP_INFO_RTT)
      const received = info.readUInt32LE(TCP_INFO_RECEIVED_RTT)
      return received > 0 && (received < sent || sent === 0) ? received : sent
    },
    limitReceiveQueue(descriptor, bytes) {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, [bytes], 4)
    },
    shortenTurns(nanoseconds, niceness) {
      const call = SCHED_SETATTR[process.arch]
      if (call === undefined || getScheduler(0) !== SCHED_OTHER) return false
      const attributes = Buffer.alloc(SCHED_ATTR_BYTES)
      attributes.writeUInt32LE(SCHED_ATTR_BYTES, 0)
      attributes.writeBigUInt64LE(SCHED_FLAG_RESET_ON_FORK, SCHED_ATTR_FLAGS)
      attributes.writeInt32LE(niceness, SCHED_ATTR_NICE)
      attributes.writeBigUInt64LE(BigInt(nanoseconds), SCHED_ATTR_RUNTIME)
      return syscall(call, 0, attributes, 0) === 0
    },
    runWhereIdle: () => setScheduler(0, SCHED_IDLE, [0]) === 0,
    startWriteBack(descriptor, offset, length) {
      syncFileRange(descriptor, offset, length, SYNC_FILE_RANGE_WRITE)
    },
    lock(descriptor) {
      if (flock(descriptor, LOCK_EX | LOCK_NB) === 0) return true
      if (koffi.errno() === EWOULDBLOCK) return false
      throw fault('flock')
    },
  }
}

type Memory = Pick<
  Libc,
  | 'reserve'
  | 'map'
  | 'vacate'
  | 'unmap'
  | 'view'
  | 'startReading'
  | 'startReadingFile'
  | 'isInMemory'
  | 'populate'
>

/** The calls for mapped files. */
function bindMemory(koffi: Koffi, libc: KoffiLibrary, fault: (call: string) => Error): Memory {
  const mmap = libc.func('int64_t mmap(int64_t, size_t, int, int, int, int64_t)')
  const munmap = libc.func('int munmap(int64_t, size_t)')
  const madvise = libc.func('int madvise(int64_t, size_t, int)')
  const mincore = libc.func('int mincore(int64_t, size_t, void *)')
  let residency = Buffer.alloc(0)
  const fadvise = libc.func('int posix_fadvise(int, int64_t, int64_t, int)')
  const reserveAt = (wanted: bigint, length: number, flags: number) => {
    const kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags
    const address = BigInt(mmap(wanted, length, PROT_NONE, kind, -1, 0) as number)
    if (address === -1n) throw fault('mmap')
    return address
  }
  return {
    reserve: (length) => reserveAt(0n, length, 0),
    map(address, descriptor, length) {
      const flags = MAP_SHARED | MAP_FIXED
      const mapped = mmap(address, length, PROT_READ, flags, descriptor, 0) as number
      if (BigInt(mapped) === -1n) throw fault('mmap')
    },
    vacate(address, length) {
      reserveAt(address, length, MAP_FIXED)
    },
    unmap(address, length) {
      if (munmap(address, length) !== 0) throw fault('munmap')
    },
    view: (address, length) => koffi.view(address, length),
    startReadingFile(descriptor, length) {
      fadvise(descriptor, 0, length, POSIX_FADV_WILLNEED)
    },
    startReading(address, length) {
      for (let done = 0; done < length; done += WILLNEED_BYTES) {
        madvise(address + BigInt(done), Math.min(WILLNEED_BYTES, length - done), MADV_WILLNEED)
      }
    },
    isInMemory(address, length) {
      const pages = Math.ceil(length / PAGE_BYTES_MIN)
      if (residency.length < pages) residency = Buffer.alloc(pages)
      // Where pages are larger, fewer bytes are written.
      const some = residency.subarray(0, pages).fill(1)
      return mincore(address, length, some) !== 0 || !some.includes(0)
    },
    populate(address, length) {
      if (madvise(address, length, MADV_POPULATE_READ) !== 0) throw fault('madvise')
    },
  }
}
