/**
 * @module The screens of operators, in a file that the browser fetches when the first of them is opened.
 * @apart all that it imports is that file
 */
import type { ComponentChildren } from 'preact'
import { Access } from './access.tsx'
import { CleanUp } from './clean-up.tsx'
import { Mirrors } from './mirrors.tsx'
import { Nodes } from './nodes.tsx'
import { Signatures } from './signatures.tsx'
import { Syncs } from './syncs.tsx'
import { System } from './system.tsx'
import { UsageScreen } from './usage.tsx'

const SCREENS: Readonly<Record<string, () => ComponentChildren>> = {
  'clean-up': () => <CleanUp />,
  mirrors: () => <Mirrors />,
  sync: () => <Syncs />,
  signatures: () => <Signatures />,
  nodes: () => <Nodes />,
  usage: () => <UsageScreen />,
  access: () => <Access />,
  system: () => <System />,
}

export function draw(screen: string): ComponentChildren {
  return Object.hasOwn(SCREENS, screen) ? SCREENS[screen]!() : null
}
