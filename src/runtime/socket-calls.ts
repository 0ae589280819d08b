/**
 * @module The C library's calls for sockets that were accepted and belong to nobody yet: a look at
 * their first bytes that leaves them where they are, and a wait for those that have sent none.
 */
import { bindKoffi, type Koffi } from './libc.ts'

const F_DUPFD_CLOEXEC = 1030
const MSG_PEEK = 2
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const FIONREAD = 0x541b
const IPPROTO_TCP = 6
const TCP_DEFER_ACCEPT = 9
const AF_INET = 2
const AF_INET6 = 10
const EPOLL_CLOEXEC = 0o2000000
const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
/** Readable, or ended; told once for all that has come (EPOLLIN, EPOLLRDHUP, EPOLLET). */
const WATCHED_EVENTS = (0x80000000 | 0x2000 | 0x1) >>> 0
/** EPOLLERR, EPOLLHUP, EPOLLRDHUP. */
const ENDED_EVENTS = 0x8 | 0x10 | 0x2000
/** `struct epoll_event` is packed on x86-64, and on no other processor. */
const EVENT_BYTES = process.arch === 'x64' ? 12 : 16
const EVENT_DATA = process.arch === 'x64' ? 4 : 8
const EVENTS_MAX = 256
const EAGAIN = 11
/** SOCK_NONBLOCK and SOCK_CLOEXEC. */
const ACCEPTED_FLAGS = 0o4000 | 0o2000000

export interface Peer {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array
  readonly port: number
}

export interface SocketCalls {
  /**
   * A second descriptor of the same socket, the lowest that is free from `from` on. Throws where the
   * process has no more.
   */
  duplicate(descriptor: number, from?: number): number
  close(descriptor: number): void
  /** The next connection that waits at a listener; undefined when none does, or none can be taken. */
  accept(listening: number): number | undefined
  /**
   * Copies what waits in the receive queue and leaves it there. Bytes copied; 0 at the end of what
   * the other side sends; `undefined` when nothing has come yet; -1 for a connection that is broken.
   */
  peek(descriptor: number, into: Uint8Array): number | undefined
  /** Takes bytes away that were seen by `peek`. */
  discard(descriptor: number, count: number): void
  /** Hands bytes to the kernel without waiting: how many it took, -1 for a connection that is broken. */
  send(descriptor: number, bytes: Uint8Array): number
  /** Bytes that wait in the receive queue. */
  queuedBytes(descriptor: number): number
  /** The other end; undefined for what is no connection. */
  peer(descriptor: number): Peer | undefined
  /** A listener hands on what it accepts when data are there, or after about so many seconds. */
  deferAccept(descriptor: number, seconds: number): void
  /** A wait for many sockets: a descriptor of its own. */
  openWatch(): number
  watch(watchDescriptor: number, descriptor: number): void
  unwatch(watchDescriptor: number, descriptor: number): void
  /** Those to which something has happened since they were told the last time. Never waits. */
  readyOf(watchDescriptor: number): readonly Happening[]
}

export interface Happening {
  readonly descriptor: number
  /** The other side sends no more, or is gone. */
  readonly hasEnded: boolean
}

/** The calls, or the reason why they cannot be had here. */
export function loadSocketCalls(): SocketCalls | { readonly unavailable: string } {
  return bindKoffi(bind)
}

function bind(koffi: Koffi): SocketCalls {
  const libc = koffi.load('libc.so.6')
  const fcntl = libc.func('int fcntl(int, int, int)')
  const close = libc.func('int close(int)')
  const recv = libc.func('int64_t recv(int, void *, size_t, int)')
  const accept4 = libc.func('int accept4(int, void *, void *, int)')
  const send = libc.func('int64_t send(int, void *, size_t, int)')
  const ioctl = libc.func('int ioctl(int, unsigned long, _Out_ int *)')
  const getpeername = libc.func('int getpeername(int, void *, _Inout_ unsigned int *)')
  const setsockopt = libc.func('int setsockopt(int, int, int, int *, unsigned int)')
  const epollCreate = libc.func('int epoll_create1(int)')
  const epollControl = libc.func('int epoll_ctl(int, int, int, void *)')
  const epollWait = libc.func('int epoll_wait(int, void *, int, int)')
  const name = Buffer.alloc(28)
  const event = Buffer.alloc(EVENT_BYTES)
  const events = Buffer.alloc(EVENT_BYTES * EVENTS_MAX)
  const scratch = Buffer.alloc(16 * 1024)
  return {
    duplicate(descriptor, from = 0) {
      const copy = fcntl(descriptor, F_DUPFD_CLOEXEC, from) as number
      if (copy < 0) throw new Error(`no descriptor for a connection: errno ${koffi.errno()}`)
      return copy
    },
    close: (descriptor) => void close(descriptor),
    accept(listening) {
      const descriptor = accept4(listening, null, null, ACCEPTED_FLAGS) as number
      return descriptor < 0 ? undefined : descriptor
    },
    peek(descriptor, into) {
      const count = Number(recv(descriptor, into, into.length, MSG_PEEK | MSG_DONTWAIT))
      if (count >= 0) return count
      return koffi.errno() === EAGAIN ? undefined : -1
    },
    discard(descriptor, count) {
      for (let left = count; left > 0; ) {
        const taken = Number(
          recv(descriptor, scratch, Math.min(left, scratch.length), MSG_DONTWAIT),
        )
        if (taken <= 0) return
        left -= taken
      }
    },
    send(descriptor, bytes) {
      const count = Number(send(descriptor, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL))
      if (count >= 0) return count
      return koffi.errno() === EAGAIN ? 0 : -1
    },
    queuedBytes(descriptor) {
      const count = [0]
      return ioctl(descriptor, FIONREAD, count) === 0 ? count[0]! : 0
    },
    peer(descriptor) {
      if (getpeername(descriptor, name, [name.length]) !== 0) return undefined
      const family = name.readUInt16LE(0)
      const port = name.readUInt16BE(2)
      if (family === AF_INET) return { address: name.subarray(4, 8), port }
      return family === AF_INET6 ? { address: name.subarray(8, 24), port } : undefined
    },
    deferAccept(descriptor, seconds) {
      setsockopt(descriptor, IPPROTO_TCP, TCP_DEFER_ACCEPT, [seconds], 4)
    },
    openWatch() {
      const descriptor = epollCreate(EPOLL_CLOEXEC) as number
      if (descriptor < 0) throw new Error(`no descriptor for waiting: errno ${koffi.errno()}`)
      return descriptor
    },
    watch(watchDescriptor, descriptor) {
      event.writeUInt32LE(WATCHED_EVENTS, 0)
      event.writeInt32LE(descriptor, EVENT_DATA)
      epollControl(watchDescriptor, EPOLL_CTL_ADD, descriptor, event)
    },
    unwatch(watchDescriptor, descriptor) {
      epollControl(watchDescriptor, EPOLL_CTL_DEL, descriptor, event)
    },
    readyOf(watchDescriptor) {
      const count = epollWait(watchDescriptor, events, EVENTS_MAX, 0) as number
      const ready: Happening[] = []
      for (let index = 0; index < count; index += 1) {
        const flags = events.readUInt32LE(index * EVENT_BYTES)
        const descriptor = events.readInt32LE(index * EVENT_BYTES + EVENT_DATA)
        ready.push({ descriptor, hasEnded: (flags & ENDED_EVENTS) !== 0 })
      }
      return ready
    },
  }
}
