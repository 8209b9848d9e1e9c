import type { JsonPatchOperation } from '../client.ts'

type Json = Record<string, unknown>

/** RFC 7386: objects merge, null removes, everything else replaces. Returns a new value. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const merged: Json = isObject(target) ? { ...target } : {}
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name]
    else merged[name] = mergePatch(merged[name], value)
  }
  return merged
}

/**
 * The operations add, replace, remove and test of RFC 6902. Returns a new value.
 * @throws Error when a path does not exist or a test does not hold
 */
export function jsonPatch(target: unknown, operations: readonly JsonPatchOperation[]): unknown {
  const result = structuredClone(target)
  for (const operation of operations) {
    const path = operation.path.split('/').slice(1).map(unescapePointer)
    const last = path.pop() ?? ''
    applyOperation(parentAt(result, path), last, operation)
  }
  return result
}

function applyOperation(parent: Json | unknown[], last: string, operation: JsonPatchOperation): void {
  const key = Array.isArray(parent) && last === '-' ? String(parent.length) : last
  const exists = Object.hasOwn(parent, key)
  if (operation.op !== 'add' && !exists) throw new Error(`${operation.path} does not exist`)
  const object = parent as Json
  switch (operation.op) {
    case 'test':
      if (JSON.stringify(object[key]) !== JSON.stringify(operation.value))
        throw new Error(`testing ${operation.path} failed`)
      return
    case 'remove':
      if (Array.isArray(parent)) parent.splice(Number(key), 1)
      else delete object[key]
      return
    case 'add':
      if (Array.isArray(parent)) parent.splice(Number(key), 0, operation.value)
      else object[key] = operation.value
      return
    case 'replace':
      object[key] = operation.value
  }
}

function parentAt(root: unknown, path: readonly string[]): Json | unknown[] {
  let value = root
  for (const part of path) value = isObject(value) || Array.isArray(value) ? (value as Json)[part] : undefined
  if (!isObject(value) && !Array.isArray(value)) throw new Error(`/${path.join('/')} does not exist`)
  return value
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~')
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
