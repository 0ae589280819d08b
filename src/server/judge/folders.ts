/**
 * @module Judges the places that a server writes to: the folder of the store and the audit file.
 * Nothing is left behind, and nothing that is missing is made.
 */
import { accessSync, constants, mkdtempSync, rmdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { secretFolder } from '../../auth/secret-file.ts'
import type { Config } from '../../config/config.ts'
import { plansFolder } from '../../gc/plan/plans.ts'
import { storeFolders } from '../../storage/open.ts'
import type { Finding } from './finding.ts'

export function judgeStorage({ storage: { path } }: Config): readonly Finding[] {
  const parts = [path, ...storeFolders(path), plansFolder(path), secretFolder(path)]
  const problem = folderProblem(path) ?? partProblem(parts)
  return problem === undefined ? [] : [{ key: 'storage.path', message: problem }]
}

/** The first of the store's own folders that is there and cannot be used. */
function partProblem(folders: readonly string[]): string | undefined {
  for (const folder of folders) {
    try {
      if (!statSync(folder).isDirectory()) return `${folder} is not a folder; choose another path`
      accessSync(folder, constants.W_OK | constants.X_OK)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return `${folder} ${cannot(error)}`
    }
  }
  return undefined
}

export function judgeAudit({ auditFile: path }: Config): readonly Finding[] {
  if (path === undefined || path === 'stdout') return []
  const problem = fileProblem(path)
  return problem === undefined ? [] : [{ key: 'audit.file', message: problem }]
}

function fileProblem(path: string): string | undefined {
  try {
    const found = statSync(path)
    if (found.isDirectory()) return `${path} is a folder; name a file`
    accessSync(path, constants.W_OK)
    return undefined
  } catch (error) {
    return isMissing(error) ? folderProblem(dirname(path)) : `${path} ${cannot(error)}`
  }
}

/** Why this process could not make files in a folder, or the folder itself where it is missing. */
function folderProblem(path: string): string | undefined {
  let there = path
  for (;;) {
    try {
      if (!statSync(there).isDirectory()) return `${there} is not a folder; choose another path`
      break
    } catch (error) {
      if (!isMissing(error) || dirname(there) === there) return `${there} ${cannot(error)}`
      there = dirname(there)
    }
  }
  // Rights alone do not tell: read-only file systems, lists of rights, folders of the kernel.
  try {
    rmdirSync(mkdtempSync(join(there, `.${basename(path)}-check-`)))
    return undefined
  } catch (error) {
    return `${there} ${cannot(error)}`
  }
}

/** A file where a folder should be is found one step further up. */
function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}

function cannot(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException
  return `cannot be written to by this user (${code}); check its owner and rights, or choose another path`
}
