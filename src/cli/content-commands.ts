/**
 * @module The rows of the table of commands (`commands.ts`) about what is in a registry.
 */
import type { Command, Flags } from './command.ts'

const sort: Flags = {
  sort: {
    type: 'text',
    value: 'ORDER',
    example: '-pushed',
    summary: 'name, pushed, pulled or size; a dash in front: largest or latest first',
    takesDash: true,
  },
}

export const CONTENT_COMMANDS: readonly Command[] = [
  {
    words: ['repos'],
    operands: [],
    flags: sort,
    needs: 'server',
    summary: 'list repositories with sizes and times',
    examples: ['repos', 'repos --sort -size'],
    load: async () => (await import('./commands/contents.ts')).repos,
  },
  {
    words: ['tags'],
    operands: [{ name: 'NAME', what: 'the name of a repository' }],
    flags: sort,
    needs: 'server',
    summary: 'list the tags of a repository',
    examples: ['tags team/app', 'tags team/app --sort -pushed'],
    load: async () => (await import('./commands/contents.ts')).tags,
  },
  {
    words: ['copy'],
    operands: [
      { name: 'NAME:TAG|NAME@DIGEST', what: 'the image to copy' },
      { name: 'NAME[:TAG]', what: 'a name for the copy' },
    ],
    flags: {},
    needs: 'server',
    summary: 'copy an image inside the registry',
    examples: ['copy team/app:v1 team/live:v1'],
    load: async () => (await import('./commands/contents.ts')).copy,
  },
  {
    words: ['undelete'],
    operands: [{ name: 'NAME[:TAG|@DIGEST]', what: 'a repository, a tag or a digest' }],
    flags: {
      digest: {
        type: 'text',
        value: 'DIGEST',
        example: 'sha256:...',
        summary: 'which of the digests that the tag had; else the last one',
      },
    },
    needs: 'server',
    summary: 'list what was deleted from a repository, or restore a tag or a digest',
    examples: ['undelete team/app', 'undelete team/app:v1'],
    load: async () => (await import('./commands/contents.ts')).undelete,
  },
]
