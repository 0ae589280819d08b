/**
 * @module The audit trail of one server: which requests go into it, and its new file at SIGHUP.
 */
import type { Config } from '../config/config.ts'
import type { Refusal } from '../http/access/gate.ts'
import { neededBy } from '../http/access/needs.ts'
import type { HttpRequest, HttpResponse } from '../http/engine/port.ts'
import { type AuditRecord, AuditTrail } from '../observability/audit.ts'
import type { Logger } from '../observability/logger.ts'
import { systemClock } from '../runtime/clock.ts'
import { RefusalSums } from './refusal-sums.ts'

export interface Audit {
  write(record: AuditRecord): void
  /** Books a request that was refused, for another reason than the gate has. */
  refused(request: HttpRequest, refusal: RefusalReport): void
  /** Books a request that has changed something. Called when its answer is out. */
  finished(request: HttpRequest, response: HttpResponse): void
  /** Lines that did not reach the file. */
  readonly droppedLines: number
  flush(): Promise<void>
  close(): Promise<void>
}

/** What is told of a refusal beside who asked. */
export interface RefusalReport {
  readonly reason: string
  readonly path?: string
  readonly status?: number
}

/** Undefined without `audit.file`. Throws when the file cannot be opened. */
export function startAudit({ auditFile }: Config, logger: Logger): Audit | undefined {
  if (auditFile === undefined) return undefined
  const standardOutput = {
    write: (line: string) => logger.accessLog.writeLine(line.trimEnd()),
    flush: () => logger.flush(),
  }
  const trail = AuditTrail.open(auditFile, standardOutput, systemClock.now)
  const sums = new RefusalSums((record) => trail.write(record), systemClock.now)
  const onHangup = () => {
    try {
      trail.reopen()
    } catch (error) {
      logger.error(
        { file: auditFile, error },
        'the audit file could not be reopened; the old file stays in use',
      )
    }
  }
  process.on('SIGHUP', onHangup)
  return {
    write: (record) => {
      if (record.decision === 'refused') sums.add(record)
      else trail.write(record)
    },
    refused: (request, report) => sums.add({ ...askedFor(request), ...report }),
    finished: (request, response) => {
      const { change, method, path } = request
      const isAdmin = path.startsWith('/admin/') && method !== 'GET' && method !== 'HEAD'
      if (response.status >= 400 || (change === undefined && !isAdmin)) return
      trail.write({
        ...(change ?? { action: 'admin', path }),
        decision: 'done',
        ...whoOf(request),
        status: response.status,
      })
    },
    get droppedLines() {
      return trail.droppedLines
    },
    flush: () => trail.flush(),
    close: async () => {
      process.off('SIGHUP', onHangup)
      sums.close()
      await trail.close()
    },
  }
}

/** The record of a request that is refused whatever its caller may do. */
function askedFor(request: HttpRequest): AuditRecord {
  const need = neededBy(request)
  const { action, resource } = need === undefined || need === 'login' ? noNeed : need
  return { action, decision: 'refused', ...whoOf(request), repository: resource }
}

const noNeed = { action: 'login', resource: undefined }

function whoOf(request: HttpRequest) {
  const { caller } = request
  return {
    user: caller.name,
    via: caller.via,
    address: request.remoteAddress,
    requestId: request.id,
  }
}

/** The record of a refused request. A name counts only when it is a user's: it may be a slip. */
export function refusalRecord(
  request: HttpRequest,
  refusal: Refusal,
  isUser: (name: string) => boolean,
): AuditRecord {
  const { claimedUser, need, reason, rule } = refusal
  const hasName = claimedUser !== undefined && isUser(claimedUser)
  const asked = need === undefined || need === 'login' ? undefined : need
  return {
    action: asked?.action ?? 'login',
    decision: 'refused',
    ...whoOf(request),
    user: claimedUser === undefined ? refusal.caller.name : hasName ? claimedUser : '(unknown)',
    repository: asked?.resource,
    reason,
    rule,
  }
}
