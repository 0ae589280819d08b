/**
 * @module The nodes of a mesh: who takes part, how far each has come, which copies are lacking.
 */
import { get } from '../../core/api.ts'
import { number } from '../../core/format.ts'
import { useLoaded } from '../../core/load.ts'
import { texts } from '../../messages/catalogue.ts'
import { Rows } from '../../parts/rows.tsx'
import { Ready } from '../../parts/states.tsx'
import { Size } from '../../parts/values.tsx'

interface Amount {
  readonly blobs: number
  readonly bytes: number
}

interface Member {
  readonly number: number
  readonly name: string
  readonly state: string
  readonly address: string
  readonly zone: string
  readonly visible: number
  readonly present: boolean
  readonly serving: boolean
  readonly voter: boolean
  readonly copies?: { readonly owned: Amount; readonly lacking: Amount }
}

interface Mesh {
  readonly cluster: string
  readonly member: number
  readonly lead?: number
  readonly serving: boolean
  readonly visible: number
  readonly members: readonly Member[]
}

export function Nodes() {
  const t = texts.value
  const found = useLoaded('mesh', (stop) => get<Mesh>('admin/mesh', undefined, stop))
  return (
    <>
      <h1>{t.nodes}</h1>
      <Ready of={found}>
        {({ cluster, member, lead, serving, visible, members }) => (
          <>
            {!serving && <p class="banner">{t.cutOff}</p>}
            <p class="facts">
              <span>{cluster}</span>
              <span>{t.thisNode(member)}</span>
              {lead !== undefined && <span>{t.leadNode(lead)}</span>}
            </p>
            <Rows
              rows={members}
              keyOf={(it) => String(it.number)}
              columns={[
                { title: '#', isNumber: true, cell: (it) => it.number },
                { title: t.name, cell: ({ name }) => name },
                {
                  title: t.state,
                  cell: ({ state, present }) => (
                    <>
                      <span class={`badge ${present && state === 'active' ? 'good' : 'warn'}`}>
                        {state}
                      </span>{' '}
                      {!present && state !== 'left' && t.absent}
                    </>
                  ),
                },
                { title: t.address, cell: ({ address, zone }) => `${address} ${zone}` },
                {
                  title: t.behind,
                  isNumber: true,
                  cell: (it) => number(Math.max(0, visible - it.visible)),
                },
                {
                  title: t.copies,
                  isNumber: true,
                  cell: ({ copies }) => <Size bytes={copies?.owned.bytes} />,
                },
                {
                  title: t.lacking,
                  isNumber: true,
                  cell: ({ copies }) => <Size bytes={copies?.lacking.bytes} />,
                },
              ]}
            />
          </>
        )}
      </Ready>
    </>
  )
}
