/** Whether the memory of all containers has arrived, is still coming, or cannot come. */
import type { JobState, Jobs } from '../../jobs/jobs.ts'
import type { KeeperState } from '../../pages/keeper-state.ts'
import { lazyState } from './lazy-pages.ts'
import { containerFolder, isWhole } from './staging.ts'

export interface PagesView {
  name: string
  lazy: JobState
  /** Undefined when no keeper lives. */
  keeper: KeeperState | undefined
}

export type PagesVerdict =
  | { kind: 'pending'; receivedBytes: number }
  | { kind: 'arrived' }
  /** @param container the first whose pages cannot come */
  | { kind: 'lost'; container: string; message: string }

/** A link may be cut for so long; the page keepers connect again by themselves. */
const SILENCE_MS = 60_000

/** All memory was among the images. */
const NOTHING_FOLLOWS: JobState = { is: 'ended', exitCode: 0 }

/** Pure. */
export function judgePages(views: readonly PagesView[]): PagesVerdict {
  for (const view of views) {
    const why = lossOf(view)
    if (why !== undefined) return { kind: 'lost', container: view.name, message: `container ${view.name}: ${why}` }
  }
  if (views.every(({ lazy }) => hasEndedWell(lazy))) return { kind: 'arrived' }
  return { kind: 'pending', receivedBytes: views.reduce((sum, { keeper }) => sum + (keeper?.receivedBytes ?? 0), 0) }
}

function lossOf({ lazy, keeper }: PagesView): string | undefined {
  if (hasEndedWell(lazy)) return undefined
  if (lazy.is === 'ended') return `criu lazy-pages ended with exit code ${lazy.exitCode} before all memory had arrived`
  if (lazy.is !== 'running') return 'criu lazy-pages is gone, and with it the memory that had not arrived'
  if (keeper === undefined) return 'the page keeper on the destination node is gone, and its connection with it'
  if (keeper.phase === 'failed' || keeper.phase === 'aborted') {
    return 'the source serves no pages any more, and not all memory has arrived'
  }
  if (keeper.silentMs <= SILENCE_MS) return undefined
  return `nothing has come from the source node for ${Math.round(keeper.silentMs / 1000)} s while memory was missing`
}

const hasEndedWell = (lazy: JobState) => lazy.is === 'ended' && lazy.exitCode === 0

/** @param ask what a keeper says; may be what it said a moment ago: asking one is a conversation, a job's state is in three files */
export async function lookAtPages(
  hostRoot: string,
  jobs: Jobs,
  podUID: string,
  names: readonly string[],
  ask: (name: string, folder: string) => Promise<KeeperState | undefined>,
): Promise<PagesView[]> {
  return await Promise.all(
    names.map(async (name) => {
      const folder = containerFolder(podUID, name)
      // In this order: a keeper ends by itself only after its daemon has ended well.
      const keeper = await ask(name, folder)
      const isComplete = await isWhole(hostRoot, podUID, name)
      return { name, lazy: isComplete ? NOTHING_FOLLOWS : await lazyState({ hostRoot, jobs, folder }), keeper }
    }),
  )
}
