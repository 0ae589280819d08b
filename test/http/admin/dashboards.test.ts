/**
 * @module Dashboard and alert rules name only metrics that the server really answers.
 */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { collect } from '../../support/admin.ts'
import { describeRegistry, ENGINES } from '../../support/in-process.ts'

const file = (name: string) =>
  readFileSync(new URL(`../../../deploy/${name}`, import.meta.url), 'utf8')

/** Every name of ours in a PromQL expression. */
function namesIn(expression: string): string[] {
  return expression.match(/fastregistry_[a-z0-9_]+/g) ?? []
}

describeRegistry(
  'what watches the server',
  { config: {}, engines: ENGINES.slice(0, 1) },
  (registry) => {
    test('asks for metrics that exist', async () => {
      await collect(registry().client)
      const text = (await registry().client.get('/metrics')).text
      // Those of a mesh are there where there is one: the page has all that are declared.
      const page = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8')
      const declared = [...page.matchAll(/^\| `(fastregistry_mesh_\w+)` \|/gm)].map(
        ([, name]) => name!,
      )
      const told = text.match(/^# TYPE (\S+)/gm)?.map((line) => line.slice(7)) ?? []
      const exist = new Set([...told, ...declared])
      const dashboard = JSON.parse(file('grafana-dashboard.json')) as {
        panels: { title: string; targets: { expr: string }[] }[]
      }
      const alerts = parse(file('prometheus-alerts.yaml')) as {
        groups: { rules: { alert: string; expr: string }[] }[]
      }
      const expressions = [
        ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
        ...alerts.groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)),
      ]
      expect(expressions.length).toBeGreaterThan(15)
      const missing = expressions
        .flatMap(namesIn)
        .map((name) => name.replace(/_(bucket|sum|count)$/, ''))
        .filter((name) => !exist.has(name))
      expect(missing).toEqual([])
    })

    test('sees a collection', async () => {
      const text = (await registry().client.get('/metrics')).text
      expect(text).toMatch(/fastregistry_gc_runs_total\{state="done"\} [1-9]/)
      expect(text).toMatch(/fastregistry_gc_last_success_timestamp_seconds [1-9]/)
    })
  },
)
