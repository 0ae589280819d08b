import type { BlobBin, BlobInventory, DriverSetup } from '../../../src/blobs/driver.ts'

export class RemoteClient {
  constructor(url: string)
  head(key: string): Promise<{ sizeBytes: number; version: string; storedAt: number } | undefined>
  get(key: string, offset: number, length: number): Promise<Uint8Array | undefined>
  put(key: string, bytes: Uint8Array): Promise<void>
  copy(from: string, to: string): Promise<boolean>
  remove(key: string): Promise<void>
}

export function openBin(setup: DriverSetup): BlobBin
export function openInventory(setup: DriverSetup): BlobInventory
