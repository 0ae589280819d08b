/**
 * @module The table of commands, one row a command. The parser (`parse.ts`), the help (`help.ts`), the
 * shell completion (`completion.ts`) and the table in the documents read it. A new command is a row
 * here and a file in `commands/`.
 */
import type { Command, Flags, Operand } from './command.ts'
import { CONTENT_COMMANDS } from './content-commands.ts'
import { MESH_COMMANDS } from './mesh-commands.ts'
import { SIGNATURE_COMMANDS } from './signature-commands.ts'
import { SYNC_COMMANDS } from './sync-commands.ts'

const configFile: Operand = {
  name: 'FILE',
  what: 'a configuration file',
  isOptional: true,
  insteadOf: 'config',
}

const plan: Operand = { name: 'PLAN', what: 'the id of a plan' }

const checkConfigWords = { words: ['check-config'], aliases: [['verify-config']] }

const gcWords = (word: string) => ({ words: ['gc', word], aliases: [['retention', word]] })

const htpasswdOperands: readonly Operand[] = [
  { name: 'FILE', what: 'the users file', isOptional: true },
  { name: 'USER', what: 'a user' },
]

const withoutFile = 'Without FILE it is auth.htpasswd_file of the configuration.'
const htpasswdDetails = `The password is read from standard input.\n${withoutFile}`

const acceptClock: Flags = {
  'accept-clock': { type: 'switch', summary: 'the clock is right although it jumped' },
}
const dryRun: Flags = { 'dry-run': { type: 'switch', summary: 'make a plan, remove nothing' } }

export const COMMANDS: readonly Command[] = [
  {
    words: ['serve'],
    operands: [],
    flags: {},
    needs: 'config',
    summary: 'run the registry (the default)',
    examples: ['serve --config config.yaml', '-storage=./data -addr=:5000'],
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  {
    ...checkConfigWords,
    operands: [configFile],
    flags: { probe: { type: 'switch', summary: 'ask every upstream whether it lets us in' } },
    needs: 'config',
    summary: 'report every mistake of a configuration, and of the files that it names',
    examples: ['check-config config.yaml', 'check-config --config config.yaml --probe'],
    load: async () => (await import('./commands/check-config.ts')).checkConfig,
  },
  {
    ...checkConfigWords,
    chosenBy: 'explain',
    operands: [
      configFile,
      { name: 'USER', what: 'a user, an action and a repository' },
      { name: 'ACTION', what: 'an action and a repository' },
      { name: 'REPOSITORY', what: 'a repository' },
    ],
    flags: {
      explain: { type: 'switch', summary: 'report which access rule decides' },
      from: {
        type: 'text',
        value: 'ADDRESS',
        example: '10.0.0.1',
        summary: 'the address of the client, for rules with networks',
      },
    },
    needs: 'config',
    summary: 'report which access rule decides',
    details: 'USER may be "anonymous"; ACTION is pull, push, sign, delete, list or admin.',
    examples: [
      'check-config config.yaml --explain alice pull team/app',
      'check-config --config config.yaml --explain anonymous pull team/app --from 10.0.0.1',
    ],
    load: async () => (await import('./commands/explain.ts')).explain,
  },
  {
    ...checkConfigWords,
    chosenBy: 'explain-signing',
    operands: [configFile, { name: 'REPOSITORY[:TAG]', what: 'a repository, or a tag of it' }],
    flags: {
      'explain-signing': { type: 'switch', summary: 'report which policy of signatures decides' },
    },
    needs: 'config',
    summary: 'report which policy of signatures decides, and what it asks for',
    examples: ['check-config config.yaml --explain-signing prod/app:v1'],
    load: async () => (await import('./commands/explain-signing.ts')).explainSigning,
  },
  {
    words: ['verify'],
    operands: [],
    flags: {
      repair: {
        type: 'switch',
        summary: 'take what is damaged out of service, so that clients can push it again',
      },
    },
    needs: 'store',
    summary: 'read everything stored and compare it with its digest (server stopped)',
    examples: ['verify --storage ./data', 'verify --config config.yaml --repair'],
    load: async () => (await import('./commands/maintenance.ts')).verifyCommand,
  },
  {
    words: ['backup'],
    operands: [{ name: 'DIR', what: 'a folder to write to' }],
    flags: {},
    needs: 'store',
    summary: 'write a consistent copy to an empty folder (the server may run)',
    examples: ['backup /backup/monday --config config.yaml'],
    load: async () => (await import('./commands/maintenance.ts')).backupCommand,
  },
  {
    words: ['restore'],
    operands: [{ name: 'DIR', what: 'the folder of a backup' }],
    flags: {},
    needs: 'store',
    summary: 'make a store at storage.path from a backup (server stopped)',
    examples: ['restore /backup/monday --storage ./data'],
    load: async () => (await import('./commands/maintenance.ts')).restoreCommand,
  },
  {
    words: ['adopt'],
    operands: [],
    flags: {
      repository: {
        type: 'text',
        value: 'NAME',
        example: 'team/app',
        summary: 'repository that clients can pull the registered blobs from',
      },
    },
    needs: 'store',
    summary: 'register blob files that have no metadata (server stopped)',
    examples: ['adopt --storage ./data', 'adopt --storage ./data --repository team/app'],
    load: async () => (await import('./commands/adopt.ts')).adopt,
  },
  {
    words: ['htpasswd', 'add'],
    operands: htpasswdOperands,
    flags: {},
    needs: 'config',
    summary: 'add a user, or set the password of one',
    details: htpasswdDetails,
    examples: ['htpasswd add alice --config config.yaml', 'htpasswd add ./users alice'],
    load: async () => (await import('./commands/htpasswd.ts')).htpasswd,
  },
  {
    words: ['htpasswd', 'remove'],
    operands: htpasswdOperands,
    flags: {},
    needs: 'config',
    summary: 'remove a user',
    details: withoutFile,
    examples: ['htpasswd remove alice --config config.yaml'],
    load: async () => (await import('./commands/htpasswd.ts')).htpasswd,
  },
  {
    words: ['htpasswd', 'verify'],
    operands: htpasswdOperands,
    flags: {},
    needs: 'config',
    summary: 'check the password of a user',
    details: htpasswdDetails,
    examples: ['htpasswd verify ./users alice'],
    load: async () => (await import('./commands/htpasswd.ts')).htpasswd,
  },
  {
    words: ['token', 'create'],
    operands: [],
    flags: {
      user: {
        type: 'text',
        value: 'USER',
        example: 'alice',
        summary: 'the user whose token it is',
        takesDash: true,
      },
      repositories: {
        type: 'list',
        value: 'PATTERNS',
        example: 'team/*',
        summary: 'patterns of repositories, separated by commas',
      },
      actions: {
        type: 'list',
        value: 'ACTIONS',
        example: 'pull,push',
        summary: 'what the token allows, separated by commas',
      },
      expires: { type: 'text', value: 'TIME', example: '30d', summary: 'how long it is valid' },
    },
    needs: 'config',
    summary: 'create an access token for a machine',
    examples: ['token create --user alice --repositories team/* --actions pull,push --expires 30d'],
    load: async () => (await import('./commands/token.ts')).token,
  },
  {
    words: ['token', 'list'],
    operands: [],
    flags: {},
    needs: 'config',
    summary: 'list the access tokens',
    examples: ['token list --config config.yaml'],
    load: async () => (await import('./commands/token.ts')).token,
  },
  {
    words: ['token', 'revoke'],
    operands: [{ name: 'TOKEN', what: 'one id, one refresh token, or --user', isOptional: true }],
    flags: {
      user: {
        type: 'text',
        value: 'USER',
        example: 'alice',
        summary: 'end every login of this user',
        takesDash: true,
      },
    },
    needs: 'config',
    summary: 'revoke an access token, a login, or all logins of a user',
    examples: ['token revoke 0123456789ab', 'token revoke --user alice'],
    load: async () => (await import('./commands/token.ts')).token,
  },
  {
    words: ['token', 'rotate-keys'],
    operands: [],
    flags: { now: { type: 'switch', summary: 'end every bearer and refresh token immediately' } },
    needs: 'config',
    summary: 'replace the key that signs tokens',
    examples: ['token rotate-keys', 'token rotate-keys --now'],
    load: async () => (await import('./commands/token.ts')).token,
  },
  {
    words: ['gc'],
    aliases: [['retention']],
    operands: [],
    flags: { ...dryRun, ...acceptClock },
    needs: 'server',
    summary: 'report the state of the collection; with --dry-run make a plan',
    examples: ['gc', 'gc --dry-run', 'retention --dry-run'],
    load: async () => (await import('./commands/gc.ts')).gcStatusOrPlan,
  },
  {
    ...gcWords('status'),
    operands: [],
    flags: {},
    needs: 'server',
    summary: 'report the state of the collection',
    examples: ['gc status --server http://127.0.0.1:5000'],
    load: async () => (await import('./commands/gc.ts')).gcStatus,
  },
  {
    ...gcWords('plan'),
    operands: [],
    flags: { ...dryRun, ...acceptClock },
    needs: 'server',
    summary: 'make a plan of what a collection would remove',
    examples: ['gc plan', 'gc plan --storage ./data'],
    load: async () => (await import('./commands/gc.ts')).gcPlan,
  },
  {
    ...gcWords('show'),
    operands: [plan],
    flags: {},
    needs: 'server',
    summary: 'list what a plan removes, with the reasons',
    examples: ['gc show 7', 'gc show 7 --json'],
    load: async () => (await import('./commands/gc.ts')).gcShow,
  },
  {
    ...gcWords('apply'),
    operands: [plan],
    flags: acceptClock,
    needs: 'server',
    summary: 'remove what a plan holds and nothing else',
    examples: ['gc apply 7'],
    load: async () => (await import('./commands/gc.ts')).gcApply,
  },
  {
    ...gcWords('run'),
    operands: [],
    flags: { ...dryRun, ...acceptClock },
    needs: 'server',
    summary: 'run a collection',
    examples: ['gc run', 'gc run --config config.yaml', 'gc run --dry-run'],
    load: async () => (await import('./commands/gc.ts')).gcRun,
  },
  {
    ...gcWords('explain'),
    operands: [{ name: 'NAME[:TAG|@DIGEST]', what: 'a repository, a tag or a digest' }],
    flags: {},
    needs: 'server',
    summary: 'report why something stays or goes',
    examples: ['gc explain team/app:v1', 'gc explain team/app'],
    load: async () => (await import('./commands/gc.ts')).gcExplain,
  },
  ...SYNC_COMMANDS,
  ...MESH_COMMANDS,
  ...SIGNATURE_COMMANDS,
  ...CONTENT_COMMANDS,
  {
    words: ['health'],
    operands: [{ name: 'ready|live', what: 'one of', isOptional: true, values: ['ready', 'live'] }],
    flags: {},
    needs: 'config',
    summary: 'ask the server of a configuration on this machine; exit code 0 when it is well',
    examples: ['health', 'health live --config config.yaml'],
    load: async () => (await import('./commands/health.ts')).health,
  },
  {
    words: ['mirror-config'],
    operands: [{ name: 'MIRROR', what: 'a mirror', isOptional: true, isRepeated: true }],
    flags: {
      address: {
        type: 'text',
        value: 'HOST:PORT',
        example: 'registry.example.com:5000',
        summary: 'where clients reach this registry',
      },
    },
    needs: 'config',
    summary: 'print how docker, containerd, podman, BuildKit and k3s pull through the mirrors',
    examples: ['mirror-config --config config.yaml --address registry.example.com:5000 docker.io'],
    load: async () => (await import('./commands/mirror-config.ts')).mirrorConfig,
  },
  {
    words: ['completion'],
    operands: [{ name: 'bash|zsh|fish', what: 'a shell', values: ['bash', 'zsh', 'fish'] }],
    flags: {},
    needs: 'nothing',
    summary: 'print the completion script of a shell',
    details: `bash: source <(fastregistry completion bash)
zsh:  fastregistry completion zsh > "\${fpath[1]}/_fastregistry"
fish: fastregistry completion fish > ~/.config/fish/completions/fastregistry.fish`,
    examples: ['completion bash'],
    load: async () => (await import('./completion.ts')).completion,
  },
  {
    words: ['version'],
    operands: [],
    flags: {},
    needs: 'nothing',
    summary: 'print the version; --version and -v do the same',
    examples: ['version', '--version'],
    load: async () => (await import('./commands/version.ts')).version,
  },
  {
    words: ['help'],
    operands: [{ name: 'COMMAND', what: 'a command', isOptional: true, isRepeated: true }],
    flags: {},
    needs: 'nothing',
    summary: 'print this text, or the help of a command; --help and -h do the same',
    examples: ['help', 'help gc plan', 'gc --help'],
    load: async () => (await import('./help.ts')).help,
  },
]
