/** Steps 3 and 4: opens the staging folders and waits until every container waits at its gate. */
import { join } from 'node:path'
import type { Migration } from '../../../api/migration.ts'
import type { Pod } from '../../../api/pod.ts'
import { PodferryError } from '../../../errors.ts'
import { podNamed } from '../suspect-pods.ts'
import { sendEarlyAway } from './early.ts'
import { missingHostPath } from './host-paths.ts'
import { about, factsOf, type LiveAgent, namesOf, rfc3339, write } from './live-agent.ts'
import { errorOf, judgeReadiness, type LiveReadiness } from './readiness.ts'
import * as report from './report.ts'
import { isAlive } from './restorers.ts'
import { checkRoom } from './room.ts'
import { containerFolder, openStaging, podFolder, readWaiting } from './staging.ts'

const OPEN_MS = 25
const POD_LOOK_MS = 1_000

export async function open(live: LiveAgent, migration: Migration, podUID: string): Promise<number | undefined> {
  const { hostRoot, log } = live
  const expected = namesOf(migration)
  await openStaging(hostRoot, podUID, expected)
  await Promise.all(expected.map((name) => prepareKeeper(live, containerFolder(podUID, name))))
  // Kubelet makes each container when the one before it runs: the first one waits for all of them.
  const first = expected[0] ?? ''
  const wrapper = await readWaiting(hostRoot, podUID, first)
  const waits = wrapper !== undefined && (await isAlive(hostRoot, wrapper))
  const facts = factsOf(live, migration)
  const isDue = performance.now() - facts.podLookedAt >= POD_LOOK_MS
  if (!waits && !isDue) return OPEN_MS
  if (!waits) await sendEarlyAway(hostRoot, podUID, expected)
  const named = waits ? undefined : await destinationPod(live, migration)
  facts.podLookedAt = performance.now()
  facts.failingSince = errorOf(named) ? (facts.failingSince ?? live.now().getTime()) : undefined
  const { failingSince } = facts
  const lack = (named && (await missingHostPath(hostRoot, named, live.nodeName))) ?? (await fullDisk(hostRoot, podUID))
  const missingImages = waits ? await laterImages(live, migration) : []
  const found =
    lack ?? judgeReadiness({ first, waits, missingImages, pod: named, failingSince, now: live.now().getTime() })
  await write(live, migration, report.readiness(found, rfc3339(live)))
  if (found.status === 'Unknown') return missingImages.length > 0 ? POD_LOOK_MS : OPEN_MS
  log.info({ ...about(live, migration), ...found }, 'readiness')
  return undefined
}

/** Only to save time: without it the keeper is started when it is wanted. */
async function prepareKeeper({ deps, log }: LiveAgent, folder: string): Promise<void> {
  await deps.keepers.prepare(folder).catch((err) => log.warn({ folder, err }, 'no page keeper is prepared'))
}

/** Kubelet pulls an image only when it comes to its container, and that is after the commit. @returns those that the node lacks */
async function laterImages({ deps }: LiveAgent, { status }: Migration): Promise<string[]> {
  const [, ...later] = status?.containers ?? []
  const missing = await Promise.all(
    later.map(async ({ imageID }) => ((await deps.cri.image(imageID)) ? [] : [imageID])),
  )
  return [...new Set(missing.flat())]
}

/** Where a wrapper cannot even say that it waits. */
async function fullDisk(hostRoot: string, podUID: string): Promise<LiveReadiness | undefined> {
  try {
    await checkRoom(join(hostRoot, podFolder(podUID)))
    return undefined
  } catch (error) {
    if (!(error instanceof PodferryError)) throw error
    return { status: 'False', reason: error.reason, message: error.message }
  }
}

/** @returns undefined when there is none, or another under its name */
export async function destinationPod(live: LiveAgent, migration: Migration): Promise<Pod | undefined> {
  const { client } = live
  const { podName, podUID } = migration.status?.destination ?? {}
  const pod = podName === undefined ? undefined : await podNamed(client, migration, podName)
  // Only the pod with the UID that the controller wrote is ours; the label can be on any pod.
  return pod?.metadata.uid === podUID ? pod : undefined
}
