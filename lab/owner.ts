/** Which checkout's lab this machine holds: names and addresses are the machine's, so there is only one. */
import { join } from 'node:path'
import { readIfThere, writeWhole } from './files.ts'
import { LabError } from './lab-error.ts'
import { CHECKOUT, STATE } from './places.ts'

const OWNER = join(STATE, 'owner')

/** @returns the refusal, or undefined when `checkout` may go on. */
export function refusal(owner: string | undefined, checkout: string): string | undefined {
  if (owner === undefined || owner === checkout) return undefined
  return `the lab on this machine belongs to the checkout ${owner}: stop it with ${owner}/bin/lab down, or bin/lab down --force from here`
}

/** @returns the checkout that the lab on this machine belongs to, if there is one. */
export async function currentOwner(): Promise<string | undefined> {
  return (await readIfThere(OWNER))?.trim()
}

/** @throws LabError when another checkout holds the lab. */
export async function requireOwnership(): Promise<void> {
  const reason = refusal(await currentOwner(), CHECKOUT)
  if (reason !== undefined) throw new LabError(reason)
}

export async function takeOwnership(): Promise<void> {
  await requireOwnership()
  await writeWhole(OWNER, `${CHECKOUT}\n`)
}
