/**
 * @module A row that cannot be measured on this machine, said with its reason instead of a number.
 */
export class Skipped extends Error {}
