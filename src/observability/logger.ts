/**
 * @module The log: JSON lines on standard output, written asynchronously so that a slow reader never
 * holds up a request. The only user of pino. Access lines arrive ready formatted and share the
 * destination (`request-log.ts` makes them).
 */
import pino from 'pino'
import { LogStream } from './log-stream.ts'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'

export interface LogMethod {
  (message: string): void
  (fields: object, message?: string): void
}

/** Sink of lines that are JSON already, in ASCII, with their line feed. */
export interface AccessLog {
  writeLine(line: string): void
}

export interface Logger extends Readonly<Record<LogLevel, LogMethod>> {
  readonly level: LogLevel
  /** Same destination and level, with these fields in every line. */
  child(fields: Readonly<Record<string, unknown>>): Logger
  readonly accessLog: AccessLog
  /** Lines that were dropped because the reader could not keep up. */
  readonly droppedLines: number
  /** Resolves when everything logged so far was handed to the system, or cannot be. */
  flush(): Promise<void>
  /** The same at once, for a process that is about to end. */
  flushSync(): void
}

/** Where lines go. The default is standard output; tests bring their own. */
export interface LogDestination {
  write(text: string): void
  /** The same for ASCII alone, where that is cheaper. */
  writeAscii?(text: string): void
  flush?(): Promise<void>
  flushSync?(): void
  readonly droppedLines?: number
}

const standardOutput = 1

/** Fields that never reach the log, at the top of a line and one level down. */
const SECRET_FIELDS = [
  'authorization',
  'cookie',
  'password',
  'token',
  'robot_token',
  'secret',
  'pull_secret',
]
const SECRET_PATHS = [...SECRET_FIELDS, '["proxy-authorization"]'].flatMap((field) => [
  field,
  field.startsWith('[') ? `*${field}` : `*.${field}`,
])

export function createLogger(
  level: LogLevel,
  destination: LogDestination = new LogStream(standardOutput),
): Logger {
  const root = pino(
    {
      level,
      base: { pid: process.pid },
      redact: { paths: SECRET_PATHS, censor: '***' },
      serializers: { error: pino.stdSerializers.err },
    },
    destination,
  )
  const isFaster = destination.writeAscii !== undefined
  const accessLog = {
    writeLine: (line: string) =>
      isFaster ? destination.writeAscii!(line) : destination.write(line),
  }
  return wrap(root, level, destination, accessLog)
}

function wrap(
  inner: pino.Logger,
  level: LogLevel,
  destination: LogDestination,
  accessLog: AccessLog,
): Logger {
  return {
    level,
    trace: inner.trace.bind(inner),
    debug: inner.debug.bind(inner),
    info: inner.info.bind(inner),
    warn: inner.warn.bind(inner),
    error: inner.error.bind(inner),
    fatal: inner.fatal.bind(inner),
    child: (fields) => wrap(inner.child(fields), level, destination, accessLog),
    accessLog,
    get droppedLines() {
      return destination.droppedLines ?? 0
    },
    flush: async () => destination.flush?.(),
    flushSync: () => destination.flushSync?.(),
  }
}
