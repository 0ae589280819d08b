/**
 * @module The one table of errors. A kind names one case inside; code and status are what clients see. The codes are
 * those of the distribution specification (spec.md#error-codes), and two of ours for answers of class 5xx, which it
 * leaves open. Its TOOMANYREQUESTS is not here: load is answered with 503, which every client repeats.
 */

import type { ErrorRow } from './error-row.ts'

/** Every kind. Those of one code stand together, the usual one first. */
export const ERRORS = {
  BLOB_UNKNOWN: {
    code: 'BLOB_UNKNOWN',
    status: 404,
    message: 'blob is not in this repository; push or mount it first',
  },

  RANGES_ABUSIVE: {
    code: 'BLOB_UPLOAD_INVALID',
    status: 400,
    message: 'too many ranges are asked for at once, or they overlap',
  },
  RANGE_UNSATISFIABLE: {
    code: 'BLOB_UPLOAD_INVALID',
    status: 416,
    message: 'the blob has no such range',
  },
  CHUNK_RANGE_INVALID: {
    code: 'BLOB_UPLOAD_INVALID',
    status: 416,
    message: 'Content-Range must be <first byte>-<last byte>',
  },
  CHUNK_OUT_OF_ORDER: {
    code: 'BLOB_UPLOAD_INVALID',
    status: 416,
    message: 'the chunk does not start where the session stands',
  },
  SESSION_IN_USE: {
    code: 'BLOB_UPLOAD_INVALID',
    status: 409,
    message:
      'another request is sending to this upload session; wait for its end, cancel the session, or open another',
    retryAfterSeconds: 1,
  },
  SESSION_TAKEN_OVER: {
    code: 'BLOB_UPLOAD_INVALID',
    status: 409,
    message:
      'a newer request has taken this upload session over; ask for its status and go on there',
  },

  BLOB_UPLOAD_UNKNOWN: {
    code: 'BLOB_UPLOAD_UNKNOWN',
    status: 404,
    message: 'upload session is unknown here; start a new one',
  },

  DIGEST_INVALID: { code: 'DIGEST_INVALID', status: 400, message: 'digest is malformed' },
  DIGEST_MISMATCH: {
    code: 'DIGEST_INVALID',
    status: 400,
    message: 'the bytes received do not have this digest',
  },

  MANIFEST_BLOB_UNKNOWN: {
    code: 'MANIFEST_BLOB_UNKNOWN',
    status: 400,
    message: 'manifest refers to content that is not in this repository; push it first',
  },

  MANIFEST_INVALID: { code: 'MANIFEST_INVALID', status: 400, message: 'manifest is not valid' },
  // The specification has no code of its own for a bad tag.
  TAG_INVALID: { code: 'MANIFEST_INVALID', status: 400, message: 'tag is malformed' },
  MANIFEST_CHANGED: {
    code: 'MANIFEST_INVALID',
    status: 412,
    message: 'the tag does not point where the request expects',
  },

  MANIFEST_UNKNOWN: {
    code: 'MANIFEST_UNKNOWN',
    status: 404,
    message: 'manifest is not in this repository',
  },

  NAME_INVALID: { code: 'NAME_INVALID', status: 400, message: 'repository name is not valid' },

  NAME_UNKNOWN: {
    code: 'NAME_UNKNOWN',
    status: 404,
    message: 'repository is not known to this registry',
  },

  SIZE_INVALID: {
    code: 'SIZE_INVALID',
    status: 400,
    message: 'length given is not the length received',
  },
  COPY_TOO_LARGE: {
    code: 'SIZE_INVALID',
    status: 400,
    message: 'a copy takes along more manifests than it may',
  },
  BODY_TOO_SLOW: {
    code: 'SIZE_INVALID',
    status: 408,
    message: 'the body has not come whole in time: 30 s and its size at 16 KiB a second',
  },
  BODY_TOO_LARGE: {
    code: 'SIZE_INVALID',
    status: 413,
    message: 'the body has more bytes than it may have',
  },

  UNAUTHORIZED: { code: 'UNAUTHORIZED', status: 401, message: 'authentication is required' },

  DENIED: {
    code: 'DENIED',
    status: 403,
    message: 'access to the requested resource is denied',
  },
  CROSS_SITE: {
    code: 'DENIED',
    status: 403,
    message:
      'this registry takes no changes from pages of other web sites; see server.cors.origins',
    auditWord: 'cross-site',
  },
  HOST_UNKNOWN: {
    code: 'DENIED',
    status: 403,
    message: 'browsers cannot use this registry under this name; server.hosts has to list it',
    auditWord: 'unknown-host',
  },
  MIRROR_FORBIDS: {
    code: 'DENIED',
    status: 403,
    message: 'the settings of the mirror do not allow the request',
  },
  IN_COOLDOWN: {
    code: 'DENIED',
    status: 403,
    message: 'this content was first seen too short a time ago; it is served after its cooldown',
  },
  UPSTREAM_DENIES: {
    code: 'DENIED',
    status: 403,
    message: 'upstream refuses it to the mirror',
  },
  SIGNATURE_REQUIRED: {
    code: 'DENIED',
    status: 403,
    message: 'the image is not signed as the policy of the repository requires',
    auditWord: 'signature',
  },
  TAG_IMMUTABLE: {
    code: 'DENIED',
    status: 409,
    message: 'the tag is immutable (storage.immutable_tags)',
  },
  DIGEST_PINNED: { code: 'DENIED', status: 409, message: 'the digest is pinned' },
  NAME_TAKEN: { code: 'DENIED', status: 409, message: 'the new name is taken' },
  UNDELETE_CONFLICT: {
    code: 'DENIED',
    status: 409,
    message: 'what was deleted cannot come back as it was',
  },

  METHOD_UNSUPPORTED: {
    code: 'UNSUPPORTED',
    status: 405,
    message: 'the method is not supported here',
  },
  DELETES_OFF: {
    code: 'UNSUPPORTED',
    status: 405,
    message: 'deleting is switched off on this registry (policy.delete)',
  },
  BLOB_IN_USE: {
    code: 'UNSUPPORTED',
    status: 405,
    message: 'a manifest of this repository still uses the blob; delete the manifest first',
  },
  QUERY_INVALID: { code: 'UNSUPPORTED', status: 400, message: 'a parameter is not valid' },
  TOKEN_FORM_INVALID: {
    code: 'UNSUPPORTED',
    status: 400,
    message: 'the form of a token request is not complete',
  },
  UPSTREAM_REJECTS: {
    code: 'UNSUPPORTED',
    status: 400,
    message: 'upstream refuses the request; its code and its status are passed on where they fit',
  },
  PATH_UNKNOWN: {
    code: 'UNSUPPORTED',
    status: 404,
    message: 'no such path; the registry API is below /v2/',
  },
  METRICS_OFF: { code: 'UNSUPPORTED', status: 404, message: 'metrics are switched off' },
  REFERRERS_UNKNOWN: {
    code: 'UNSUPPORTED',
    status: 404,
    message: 'upstream keeps no list of referrers',
  },
  PLAN_UNKNOWN: { code: 'UNSUPPORTED', status: 404, message: 'there is no such plan' },
  PLAN_SPENT: { code: 'UNSUPPORTED', status: 409, message: 'the plan is taken already' },
  COLLECTION_RUNS: { code: 'UNSUPPORTED', status: 409, message: 'a collection is running already' },
  CLOCK_IN_DOUBT: {
    code: 'UNSUPPORTED',
    status: 409,
    message: 'the clock is in doubt, and with it what is old enough to go',
  },
  QUERY_TOO_LONG: { code: 'UNSUPPORTED', status: 414, message: 'too many parameters' },

  UNKNOWN: {
    code: 'UNKNOWN',
    status: 500,
    message: 'internal error; the request id leads to the log entry',
  },
  OUTCOME_UNKNOWN: {
    code: 'UNKNOWN',
    status: 503,
    message:
      'the change may have been made or not: the other nodes do not answer; look, or send it again',
    retryAfterSeconds: 1,
  },

  BUSY: {
    code: 'UNAVAILABLE',
    status: 503,
    message: 'temporarily unavailable; try again later',
    retryAfterSeconds: 1,
  },
  NOT_DONE: {
    code: 'UNAVAILABLE',
    status: 503,
    message: 'the change was not made: this node is cut off from the others; send it again',
    retryAfterSeconds: 1,
  },
  LOG_SILENT: {
    code: 'UNAVAILABLE',
    status: 503,
    message: 'the other nodes do not answer, so what is here may be old; try again in a moment',
    retryAfterSeconds: 1,
  },
  MANIFESTS_BUSY: {
    code: 'UNAVAILABLE',
    status: 503,
    message: 'too many large manifests are being read; try again in a moment',
    retryAfterSeconds: 1,
  },
  SIGNATURES_BUSY: {
    code: 'UNAVAILABLE',
    status: 503,
    message: 'the signatures of too many images are being verified; try again in a moment',
    retryAfterSeconds: 1,
  },
  CHANGING_TOO_FAST: {
    code: 'UNAVAILABLE',
    status: 503,
    message: 'the repository is changing too fast; try again',
    retryAfterSeconds: 1,
  },
  UPLOADS_BUSY: {
    code: 'UNAVAILABLE',
    status: 503,
    message: 'too many large uploads at once; try again in a moment',
    retryAfterSeconds: 2,
  },
  TOO_MANY_UPLOADS: {
    code: 'UNAVAILABLE',
    status: 503,
    message: 'too many open upload sessions from this address; finish or cancel some',
    retryAfterSeconds: 5,
    auditWord: 'too-many-uploads',
  },
  CLIENT_LIMITED: {
    code: 'UNAVAILABLE',
    status: 503,
    message: 'too many requests or bytes from this client; try again later',
    auditWord: 'limited',
  },
  LOGIN_PUT_OFF: {
    code: 'UNAVAILABLE',
    status: 503,
    message: 'the credentials are not judged now; try again later',
  },
  UPSTREAM_BUSY: {
    code: 'UNAVAILABLE',
    status: 503,
    message: 'too many requests wait for the upstream of the mirror',
  },
  UPSTREAM_FAILED: { code: 'UNAVAILABLE', status: 502, message: 'upstream of the mirror failed' },
  UPSTREAM_TOO_SLOW: {
    code: 'UNAVAILABLE',
    status: 504,
    message: 'upstream of the mirror did not answer in time',
  },
  COPY_ENDED: { code: 'UNAVAILABLE', status: 409, message: 'the copy was cancelled' },
  DISK_FULL: {
    code: 'UNAVAILABLE',
    status: 507,
    message: 'the registry has no space left; nothing was stored',
  },
  DISK_LOW: {
    code: 'UNAVAILABLE',
    status: 507,
    message: 'the registry is short of disk space and takes no pushes; pulls and deletes go on',
  },

  // What the admin API refuses itself. Programs look at the word; the code is the same for all.
  ADMIN_INVALID: {
    code: 'UNSUPPORTED',
    status: 400,
    word: 'bad_request',
    message: 'the request is not valid',
  },
  ADMIN_CROSS_SITE: {
    code: 'UNSUPPORTED',
    status: 403,
    word: 'cross_site',
    message: 'the admin API takes no requests from other web sites; see server.cors.origins',
    auditWord: 'cross-site',
  },
  ADMIN_HOOK_SECRET: {
    code: 'UNSUPPORTED',
    status: 401,
    word: 'unauthorized',
    message: 'the secret of the hook is wrong or missing',
    auditWord: 'hook-secret',
  },
  ADMIN_UNKNOWN: {
    code: 'UNSUPPORTED',
    status: 404,
    word: 'not_found',
    message: 'no such endpoint; see /admin/openapi.json',
  },
  ADMIN_METHOD: {
    code: 'UNSUPPORTED',
    status: 405,
    word: 'method_not_allowed',
    message: 'the method is not supported here',
  },
  ADMIN_TOO_SLOW: {
    code: 'UNSUPPORTED',
    status: 408,
    word: 'too_slow',
    message: 'the body has not come whole in time',
  },
  ADMIN_CONFLICT: {
    code: 'UNSUPPORTED',
    status: 409,
    word: 'conflict',
    message: 'the request does not fit the state',
  },
  ADMIN_GONE: {
    code: 'UNSUPPORTED',
    status: 410,
    word: 'gone',
    message: 'the event is not kept any more',
  },
  ADMIN_ROTATED: {
    code: 'UNSUPPORTED',
    status: 410,
    word: 'rotated',
    message:
      'the audit file is a new one since that page; ask again without after, and look for older entries in the file that was moved away',
  },
  ADMIN_TOO_LARGE: {
    code: 'UNSUPPORTED',
    status: 413,
    word: 'too_large',
    message: 'the body has more bytes than it may have',
  },
  ADMIN_TYPE: {
    code: 'UNSUPPORTED',
    status: 415,
    word: 'unsupported_type',
    message: 'send the body as application/json',
  },
  ADMIN_UPSTREAM: {
    code: 'UNSUPPORTED',
    status: 502,
    word: 'upstream_failed',
    message: 'the source of the sync could not be asked',
  },
  ADMIN_BUSY: {
    code: 'UNSUPPORTED',
    status: 503,
    word: 'busy',
    message: 'too many wait for events; try again later',
    retryAfterSeconds: 5,
  },
} as const satisfies Readonly<Record<string, ErrorRow>>

export type ErrorKind = keyof typeof ERRORS

export type ErrorCode = (typeof ERRORS)[ErrorKind]['code']
