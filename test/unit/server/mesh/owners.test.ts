import { describe, expect, test } from 'vitest'
import {
  memberOf,
  opensUpload,
  ownerOf,
  takesHandedOn,
  type WorkRows,
} from '../../../../src/server/mesh/owners.ts'

const random = '0123456789abcdef0123456789abcdef'
const upload = `/v2/team/app/blobs/uploads/3-${random}`

/** Rows of member 2: a job that runs, one that has ended, a plan, a lead; of no member: what begins with `old`. */
const rows: WorkRows = {
  job: (id) => {
    if (id === 'old') return { state: 'running' }
    return id === 'run' ? { member: 2, state: 'running' } : { member: 2, state: 'done' }
  },
  plan: (id) => (id === 'plan' ? { member: 2, state: 'ready' } : undefined),
  lead: (job) => (job === 'sync:hub' ? { member: 2, boot: 1, index: 5 } : undefined),
}

describe('the member that answers a request', () => {
  test.each(['GET', 'HEAD', 'PATCH', 'PUT', 'DELETE', 'POST'])('%s of an upload', (method) => {
    const owned = { kind: 'upload', member: 3, isOptional: false }
    expect(ownerOf(method, upload, rows)).toEqual(owned)
    expect(ownerOf(method, upload.replace('3-', '%33%2d'), rows)).toEqual(owned)
    expect(takesHandedOn(method, upload, 3)).toBe(true)
    expect(takesHandedOn(method, upload, 2)).toBe(false)
  })

  test.each([
    ['POST', '/admin/jobs/run/cancel', false],
    ['GET', '/admin/gc/plans/plan/items', false],
    ['HEAD', '/admin/gc/plans/plan/items', false],
    ['POST', '/admin/gc/plans/plan/apply', false],
    ['POST', '/admin/sync/trigger/hub', true],
    ['POST', '/admin/sync/cancel/hub', true],
    ['GET', '/admin/sync/status/hub', true],
    ['GET', '/admin/sync/status/hub/stream', true],
  ])('%s %s', (method, path, isOptional) => {
    expect(ownerOf(method, path, rows)).toEqual({ kind: 'admin', member: 2, isOptional })
    expect(takesHandedOn(method, path, 2)).toBe(true)
  })

  test.each([
    ['POST', '/admin/jobs/done/cancel'],
    ['POST', '/admin/jobs/old/cancel'],
    ['GET', '/admin/gc/plans/none/items'],
    ['POST', '/admin/sync/cancel/other'],
  ])('%s %s is answered by any', (method, path) => {
    expect(ownerOf(method, path, rows)).toBeUndefined()
  })

  test.each([
    ['GET', '/v2/'],
    ['GET', '/v2/team/app/manifests/latest'],
    ['PATCH', `/v2/team/app/blobs/uploads/${random}`],
    ['PATCH', `/v2/team/app/uploads/3-${random}`],
    ['PATCH', `/v2/UPPER/blobs/uploads/3-${random}`],
    ['PATCH', `/v2/a%2fb/blobs/uploads/3-${random}`],
    ['PATCH', `/admin/blobs/uploads/3-${random}`],
    ['GET', '/admin/jobs/run'],
    ['GET', '/admin/jobs/run/cancel'],
    ['POST', '/admin/jobs/run/cancel/'],
    ['POST', '/admin/jobs/a/b/cancel'],
    ['POST', '/admin/gc'],
    ['POST', '/admin/gc/plans'],
    ['POST', '/admin/sync/hook/hub'],
    ['POST', '/admin/sync/pause/hub'],
    ['POST', `/admin/jobs/${'x'.repeat(129)}/cancel`],
    ['OPTIONS', '*'],
  ])('%s %s is never handed on', (method, path) => {
    expect(ownerOf(method, path, rows)).toBeUndefined()
    expect(takesHandedOn(method, path, 3)).toBe(false)
  })

  test("what opens an upload is no member's, and each takes it of one without room", () => {
    for (const path of ['/v2/team/app/blobs/uploads/', '/v2/team/app/blobs/uploads']) {
      expect(ownerOf('POST', path, rows)).toBeUndefined()
      expect([1, 2, 3].map((member) => takesHandedOn('POST', path, member))).not.toContain(false)
      expect(opensUpload('POST', path)).toBe(true)
      expect(opensUpload('GET', path)).toBe(false)
    }
    expect(opensUpload('POST', upload)).toBe(false)
    expect(opensUpload('POST', '/v2/UPPER/blobs/uploads/')).toBe(false)
    expect(opensUpload('POST', '/admin/uploads')).toBe(false)
  })

  test('rows without a number name nobody', () => {
    expect([{}, undefined, { member: '2' }, { member: undefined }].map(memberOf)).toEqual(
      Array(4).fill(undefined),
    )
  })
})
