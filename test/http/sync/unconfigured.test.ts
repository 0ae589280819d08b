/**
 * @module The admin API of synchronisation where no source is configured.
 */
import { expect, test } from 'vitest'
import { describeRegistry } from '../../support/in-process.ts'

describeRegistry('without a source', { engines: ['uws'] }, (registry) => {
  test('there are no jobs, and the rest is not configured', async () => {
    const { client } = registry()
    const { status, json } = await client.get('/admin/sync/jobs')
    expect([status, json]).toEqual([200, { jobs: [], details: [] }])
    for (const [method, path] of [
      ['POST', 'trigger/one'],
      ['GET', 'status/one'],
      ['POST', 'cancel/one'],
      ['POST', 'pause/one'],
      ['POST', 'resume/one'],
      ['GET', 'runs/one'],
      ['POST', 'hook/one'],
    ] as const) {
      const answer = await client.request(method, `/admin/sync/${path}`)
      expect(answer.status, path).toBe(404)
      expect(answer.json).toMatchObject({ error: 'sync not configured' })
    }
  })
})
