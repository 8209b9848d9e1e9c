/** Whether the pages of a fenced pod can still be had: CRIU must serve them and the keeper must carry them. */
import type { LiveSourceDependencies } from './dependencies.ts'
import { containerFolder } from './places.ts'

/**
 * `served`: every dump waits for requests and is connected; `done`: the others are, and some have ended well, which kills the source;
 * `lost`: pages of some container can never be had any more.
 */
export type Pages = 'served' | 'done' | 'lost'

interface Watched {
  uid: string
  containers: readonly { name: string }[]
}

/** @throws PodferryError when keeper or job cannot be asked, which says nothing about them */
export async function watchPages(
  { jobs, keepers }: Pick<LiveSourceDependencies, 'jobs' | 'keepers'>,
  { uid, containers }: Watched,
): Promise<Pages> {
  const all = await Promise.all(
    containers.map(async ({ name }): Promise<Pages> => {
      const folder = containerFolder(uid, name)
      const [dump, keeper] = await Promise.all([jobs.state(folder, 'dump'), keepers.state(folder)])
      // The other keeper may know nothing of it yet; whether all has arrived, the destination says.
      if (dump.is === 'ended' && dump.exitCode === 0) return 'done'
      if (keeper?.phase === 'finished') return 'done'
      return dump.is === 'running' && keeper?.phase === 'open' ? 'served' : 'lost'
    }),
  )
  return all.find((pages) => pages === 'lost') ?? all.find((pages) => pages === 'done') ?? 'served'
}
