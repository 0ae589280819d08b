#!/usr/bin/env node
/**
 * @module The executable: hands the process to `cli/main.ts` and ends with its exit code.
 */
import { main } from './cli/main.ts'

const terminal = {
  environment: process.env,
  signals: process,
  print: (line: string) => console.log(line),
  printError: (line: string) => console.error(line),
  exit: (code: number) => process.exit(code),
  // Loaded on demand: the other commands answer without them.
  loadLogger: () => import('./observability/logger.ts'),
  loadServer: () => import('./server.ts'),
}

process.exit(await main(process.argv.slice(2), terminal))
