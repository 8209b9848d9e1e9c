/** IP addresses have several spellings. */
import { BlockList, isIPv4, isIPv6 } from 'node:net'

/** True when both are IP addresses and the same one, however it is written. */
export function sameAddress(left: string, right: string): boolean {
  if (isIPv4(left) && isIPv4(right)) return left === right
  if (!isIPv6(left) || !isIPv6(right)) return false
  const one = new BlockList()
  one.addAddress(left, 'ipv6')
  return one.check(right, 'ipv6')
}
