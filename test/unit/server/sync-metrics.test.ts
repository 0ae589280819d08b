/**
 * @module The metrics of synchronisation: what runs count, and what is read of the sources at a scrape.
 */
import { afterEach, expect, test } from 'vitest'
import { Metrics } from '../../../src/observability/metrics/metrics.ts'
import { declareSyncMetrics, SyncCounters } from '../../../src/observability/metrics/sync.ts'
import { readingsOfSyncs } from '../../../src/server/sync/readings.ts'
import { FakeSyncs, idleStatus, someProgress, startedAt } from '../../support/fake-syncs.ts'

const stopped: Metrics[] = []
afterEach(() => {
  for (const metrics of stopped.splice(0)) metrics.stop()
})

/** Lines of the metrics of syncs, without comments. */
async function scrape(syncs: FakeSyncs, counters: SyncCounters, now = 0): Promise<string[]> {
  const zero = () => 0
  const metrics = new Metrics({
    routes: [],
    version: '',
    engine: '',
    openConnections: zero,
    openRequests: zero,
    openUploads: zero,
    mappedBytes: zero,
    freeBytes: zero,
    quarantinedBlobs: zero,
    scrubbedBytes: zero,
    droppedLogLines: zero,
  })
  stopped.push(metrics)
  declareSyncMetrics(
    metrics,
    counters,
    () => readingsOfSyncs(syncs),
    () => now,
  )
  const text = await metrics.render()
  return text
    .split('\n')
    .filter((line) => line.startsWith('fastregistry_sync_'))
    .map((line) => line.slice('fastregistry_sync_'.length))
}

test('what runs report is counted by its labels', async () => {
  const counters = new SyncCounters()
  counters.run('one', 'ok')
  counters.run('one', 'ok')
  counters.run('two', 'failed')
  counters.tag('one', 'copied', 1)
  counters.failure('two', 'credentials')
  counters.bytes('one', 'downloaded', 100)
  counters.bytes('one', 'downloaded', 23)
  counters.bytes('one', 'linked', 7)
  counters.request('one', 'api', 200)
  counters.request('one', 'api', 429)
  counters.request('one', 'manifest', 0)
  counters.request('one', 'blob', 7_777_777)
  counters.request('one', 'blob', Number.NaN)
  expect(await scrape(new FakeSyncs(), counters)).toEqual([
    'runs_total{job="one",result="ok"} 2',
    'runs_total{job="two",result="failed"} 1',
    'tags_total{job="one",outcome="copied"} 1',
    'failures_total{job="two",reason="credentials"} 1',
    'bytes_total{job="one",source="downloaded"} 123',
    'bytes_total{job="one",source="linked"} 7',
    'upstream_requests_total{job="one",class="api",code="200"} 1',
    'upstream_requests_total{job="one",class="api",code="429"} 1',
    'upstream_requests_total{job="one",class="manifest",code="0"} 1',
    'upstream_requests_total{job="one",class="blob",code="0"} 2',
  ])
})

test('a source that never ran has no times', async () => {
  const lines = await scrape(new FakeSyncs(idleStatus('one')), new SyncCounters())
  expect(lines).toEqual(['pending_tags{job="one"} 0', 'complete{job="one"} 0'])
})

test('a source is read as it is now', async () => {
  const syncs = new FakeSyncs(
    idleStatus('one', { lastOkAt: startedAt, lastResult: 'ok', progress: someProgress }),
    idleStatus('two', {
      lastResult: 'partial',
      failures: [{ repository: 'a', reason: 'denied', message: '', attempts: 1 }],
    }),
  )
  const row = { by: 'x', isListingComplete: true, counts: {} }
  syncs.rows.set('one', [
    { ...row, startedAt: startedAt + 9_000 },
    { ...row, startedAt, endedAt: startedAt + 1_500 },
  ])
  const counters = new SyncCounters()
  counters.oldestPending('one', undefined)
  counters.oldestPending('two', startedAt)
  expect(await scrape(syncs, counters, startedAt + 60_000)).toEqual([
    `last_success_timestamp_seconds{job="one"} ${startedAt / 1_000}`,
    'last_run_duration_seconds{job="one"} 1.5',
    'pending_tags{job="one"} 10',
    'pending_tags{job="two"} 1',
    'lag_seconds{job="one"} 0',
    'lag_seconds{job="two"} 60',
    'complete{job="one"} 1',
    'complete{job="two"} 0',
  ])
})
