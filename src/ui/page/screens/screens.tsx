/**
 * @module The screens, as a table: what the rail names, who sees it, and what draws it. Screens that few
 * look at come in a file of their own.
 */
import type { ComponentChildren } from 'preact'
import { useLoaded } from '../core/load.ts'
import { has, isAdmin } from '../core/session.ts'
import type { Messages } from '../messages/catalogue.ts'
import { Ready } from '../parts/states.tsx'
import { Activity } from './activity.tsx'
import { Home } from './home.tsx'
import { ImageScreen } from './image/image.tsx'
import { Repositories } from './repositories.tsx'
import { RepositoryScreen } from './repository.tsx'

export interface Screen {
  readonly id: string
  readonly title: (t: Messages) => string
  readonly needsAdmin?: true
  /** What the server must have, by the names of `/admin/session`. */
  readonly needs?: string
  /** Further words of addresses that belong to it. */
  readonly also?: readonly string[]
  readonly draw: (screen: string) => ComponentChildren
}

export const SCREENS: readonly Screen[] = [
  { id: 'home', title: (t) => t.home, draw: () => <Home /> },
  {
    id: 'repositories',
    title: (t) => t.repositories,
    also: ['repository', 'image'],
    draw: (screen) =>
      screen === 'image' ? (
        <ImageScreen />
      ) : screen === 'repository' ? (
        <RepositoryScreen />
      ) : (
        <Repositories />
      ),
  },
  { id: 'activity', title: (t) => t.activity, draw: () => <Activity /> },
  { ...later('clean-up', true), title: (t) => t.cleanUp },
  { ...later('mirrors', true), needs: 'mirrors', title: (t) => t.mirrors },
  { ...later('sync', true), needs: 'sync', title: (t) => t.sync },
  { ...later('signatures', true), needs: 'signatures', title: (t) => t.signatures },
  { ...later('nodes', true), needs: 'mesh', title: (t) => t.nodes },
  { ...later('usage', true), title: (t) => t.usage },
  { ...later('access', false), needs: 'access', title: (t) => t.access },
  { ...later('system', true), title: (t) => t.system },
]

/** A screen whose file comes when it is opened. */
function Later({ screen }: { readonly screen: string }) {
  const file = useLoaded('more', () => import('./more/more.tsx'))
  return (
    <Ready of={file}>{(more) => <div class="screen scroll-all">{more.draw(screen)}</div>}</Ready>
  )
}

function later(id: string, isForAdmins: boolean) {
  const draw = () => <Later screen={id} />
  return isForAdmins ? ({ id, draw, needsAdmin: true } as const) : { id, draw }
}

/** Whether the screen is for this caller, and of this server. */
export function isShown({ needsAdmin, needs }: Screen): boolean {
  return (needsAdmin !== true || isAdmin()) && (needs === undefined || has(needs))
}

/** Words of addresses that a screen answers. */
export function pathsOf(id: string): readonly string[] {
  const screen = SCREENS.find((one) => one.id === id)
  return [id, ...(screen?.also ?? [])]
}
