/**
 * @module The screens, as a table: what the rail names, who sees it, and what draws it. Screens that few
 * look at come in a file of their own.
 */
import type { ComponentChildren } from 'preact'
import type { Messages } from '../messages/catalogue.ts'
import { Activity } from './activity.tsx'
import { Home } from './home.tsx'
import { ImageScreen } from './image/image.tsx'
import { Repositories } from './repositories.tsx'
import { RepositoryScreen } from './repository.tsx'

export interface Screen {
  readonly id: string
  readonly title: (t: Messages) => string
  readonly needsAdmin?: true
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
]

/** Words of addresses that a screen answers. */
export function pathsOf(id: string): readonly string[] {
  const screen = SCREENS.find((one) => one.id === id)
  return [id, ...(screen?.also ?? [])]
}
