/** Small file systems under podferry's folders on a node, so that they can be full without harm to anything else. */
import { node } from '../../cluster.ts'
import type { NodeName } from '../../places.ts'

/** What is staged and dumped, and the journal of mode Live. */
const FOLDERS = ['/run/podferry', '/var/lib/podferry/journal-live']
const SIZE = '24m'

/** Puts them there, with what the folders hold; nothing may be under way. The agents see a later mount of the node. Idempotent. */
export async function makeSmallDisks(name: NodeName): Promise<void> {
  const script = `set -e
for folder; do
  mkdir -p "$folder"
  mountpoint -q "$folder" && continue
  rm -rf /tmp/chaos-disk && cp -a "$folder" /tmp/chaos-disk
  mount -t tmpfs -o size=${SIZE},mode=0700 chaos "$folder"
  cp -a /tmp/chaos-disk/. "$folder"/
  rm -rf /tmp/chaos-disk
done`
  await node(name).exec(['sh', '-c', script, 'sh', ...FOLDERS])
}

/** Not a byte is free from then on. What others give back meanwhile is taken too. @throws LabError when one still is */
export async function fillDisks(name: NodeName): Promise<void> {
  const script = `for folder; do
  for again in 1 2 3 4 5 6 7 8 9 10; do
    cat /dev/zero >>"$folder/.chaos" 2>/dev/null
    [ "$(df --output=avail "$folder" | tail -1 | tr -d ' ')" = 0 ] && continue 2
  done
  exit 1
done`
  await node(name).exec(['sh', '-c', script, 'sh', ...FOLDERS])
}

export async function emptyDisks(name: NodeName): Promise<void> {
  await node(name).exec(['sh', '-c', 'for folder; do rm -f "$folder/.chaos"; done', 'sh', ...FOLDERS])
}

/** The folders as they were before. Nothing may be under way. */
export async function removeSmallDisks(name: NodeName): Promise<void> {
  const script = `for folder; do
  mountpoint -q "$folder" || continue
  rm -rf /tmp/chaos-disk && cp -a "$folder" /tmp/chaos-disk && umount -l "$folder"
  cp -a /tmp/chaos-disk/. "$folder"/; rm -rf /tmp/chaos-disk
done`
  await node(name).exec(['sh', '-c', script, 'sh', ...FOLDERS])
}
