/**
 * How a move may end when it is struck: what the tables of docs/design/0002-live-mode.md ("What a crash leaves") and of 0001 say of
 * each blow at each step. A pair that is not here cannot be hit. Pure.
 */
import type { Step } from './steps.ts'

/** Of the journal's entry at the source right after its agent was killed. */
export type JournalStep = 'none' | 'preparing' | 'dumping' | 'fenced' | 'failed'

export const MOVED = 'moved'
/** `moved`, or the reason of a rollback. */
type End = string

/** Reasons that decide before the commit, so that nothing is undone; any other comes after it. */
const BEFORE_COMMIT: ReadonlySet<End> = new Set([
  'AgentRestarted',
  'CheckpointFailed',
  'ContainerNotRunning',
  'ContainerReplaced',
  'DestinationUnreachable',
  'DiskFull',
  'DiskTooSmall',
  'DumpLost',
  'FenceLost',
  'JournalLost',
  'KeeperNotStarted',
  'LazyPagesLost',
  'PodCgroupNotFound',
  'ReplacementNotMade',
  'TimedOut',
  'WebhookUnreachable',
])

const AFTER_COMMIT: ReadonlySet<End> = new Set([
  // The gate's keeper was made anew: before the commit nothing can be sent any more, after it nothing can be restored.
  'ContainerReplaced',
  'DiskFull',
  'LazyPagesLost',
  'PagesLost',
  'RecoveredByPerson',
  'RestoreFailed',
  'RestoreLost',
  'RestoreTimedOut',
  'StagingLost',
])

type Ends = readonly End[]
type Row = Partial<Record<Step, Ends>>

const ALWAYS: Row = {
  opening: [MOVED],
  copying: [MOVED],
  staging: [MOVED],
  restoring: [MOVED],
  paging: [MOVED],
  removing: [MOVED],
}

/** What waits or restores at the destination is ended, and with it what was sent there. */
const GATE_ENDED: Row = {
  // Kubelet makes another, which waits from the beginning.
  opening: [MOVED],
  // Nothing was sent to the one that has ended, or all is lost with it.
  copying: [MOVED, 'ContainerReplaced'],
  staging: ['ContainerReplaced'],
  restoring: ['ContainerReplaced', 'RestoreFailed', 'RestoreLost'],
}

/**
 * Memory stops coming while the program is restored. `criu lazy-pages` ends, maybe before the program has run; and CRIU itself may need
 * a page before that: then it is the restore that does not end.
 */
const WITHOUT_PAGES: Ends = ['PagesLost', 'LazyPagesLost', 'RestoreTimedOut']

const CUT_30: Row = {
  ...ALWAYS,
  // The pod does not stand still for longer than 30 s without progress.
  copying: [MOVED, 'DestinationUnreachable'],
  staging: [MOVED, 'DestinationUnreachable'],
}

/** Longer than every patience, and than the time-out of these runs, 60 s. */
const CUT_75: Row = {
  opening: ['TimedOut'],
  copying: ['DestinationUnreachable', 'TimedOut'],
  staging: ['DestinationUnreachable', 'TimedOut'],
  restoring: WITHOUT_PAGES,
  // The last page may be there already.
  paging: ['PagesLost', MOVED],
  removing: [MOVED],
}

const EXPECTED = {
  'source agent killed': { ...ALWAYS, copying: [MOVED, 'AgentRestarted'] },
  'destination agent killed': ALWAYS,
  'controller killed': ALWAYS,
  'criu killed at the source': {
    copying: ['CheckpointFailed', 'DumpLost'],
    staging: ['DumpLost', 'PagesLost'],
    restoring: WITHOUT_PAGES,
    // The last page may be there already.
    paging: ['PagesLost', MOVED],
    removing: [MOVED],
  },
  'criu killed at the destination': {
    staging: ['LazyPagesLost'],
    restoring: ['LazyPagesLost', 'RestoreFailed', 'RestoreLost', 'PagesLost'],
    paging: ['PagesLost', MOVED],
    removing: [MOVED],
  },
  'runc killed at the source': {
    copying: ['CheckpointFailed', 'DumpLost'],
    staging: ['DumpLost', 'PagesLost'],
    // CRIU works on, and the source waits three seconds for its success.
    restoring: [...WITHOUT_PAGES, MOVED],
    paging: ['PagesLost', MOVED],
    removing: [MOVED],
  },
  'runc killed at the destination': { restoring: ['RestoreFailed', 'RestoreLost'] },
  'wrapper killed': GATE_ENDED,
  'page keeper killed at the source': {
    // Not started: killed before it could say where it listens.
    copying: ['DumpLost', 'KeeperNotStarted'],
    staging: ['DumpLost', 'PagesLost'],
    restoring: WITHOUT_PAGES,
    paging: ['PagesLost', MOVED],
    removing: [MOVED],
  },
  'page keeper killed at the destination': {
    // Begun again when it was killed before the source knew of it; else the daemon finds nobody.
    copying: [MOVED, 'LazyPagesLost'],
    staging: ['LazyPagesLost', 'PagesLost'],
    restoring: WITHOUT_PAGES,
    paging: ['PagesLost', MOVED],
    removing: [MOVED],
  },
  'containerd killed at the source': ALWAYS,
  'containerd killed at the destination': {
    ...GATE_ENDED,
    staging: ['ContainerReplaced', MOVED],
    restoring: ['ContainerReplaced', 'RestoreFailed', 'RestoreLost', 'PagesLost', MOVED],
    paging: [MOVED],
    removing: [MOVED],
  },
  'kubelet killed at the source': ALWAYS,
  'kubelet killed at the destination': { ...GATE_ENDED, paging: [MOVED], removing: [MOVED] },
  'link of the destination cut for 1 s': ALWAYS,
  'link of the source cut for 30 s': CUT_30,
  'link of the destination cut for 30 s': CUT_30,
  'link of the source cut for good': CUT_75,
  // A destination that has not heard of the commit opens its gates when the link is back: the wrapper waits for 100 s.
  'link of the destination cut for good': { ...CUT_75, restoring: [...WITHOUT_PAGES, MOVED] },
  'API server silent for 20 s': ALWAYS,
  'disk full at the source': {
    ...ALWAYS,
    opening: ['DiskFull'],
    copying: ['DiskFull', MOVED],
    staging: ['DiskFull', MOVED],
  },
  'disk full at the destination': {
    ...ALWAYS,
    opening: ['DiskTooSmall'],
    copying: ['DiskTooSmall'],
    // The last image may be there when the disk gets full: then it is the restore that finds no room.
    staging: ['DiskTooSmall', MOVED, 'DiskFull', 'RestoreFailed', 'RestoreLost'],
    // DiskFull where CRIU had room left to say so.
    restoring: [MOVED, 'DiskFull', 'RestoreFailed', 'RestoreLost', 'LazyPagesLost', 'PagesLost'],
  },
  'destination stopped and started': {
    opening: [MOVED],
    copying: ['DestinationUnreachable', 'ContainerReplaced'],
    staging: ['DestinationUnreachable', 'ContainerReplaced'],
    restoring: ['StagingLost'],
    paging: ['PagesLost'],
    removing: [MOVED],
  },
  'destination stopped for good': {
    opening: ['TimedOut'],
    copying: ['DestinationUnreachable', 'TimedOut'],
    staging: ['DestinationUnreachable'],
    restoring: ['RecoveredByPerson'],
    paging: ['RecoveredByPerson'],
    removing: [MOVED],
  },
  'source stopped and started': {
    // Ready to be dumped before kubelet has started it again.
    opening: [MOVED, 'ContainerNotRunning', 'PodCgroupNotFound'],
    // Moved: nothing was written down yet, so it is what kubelet has started again that moves.
    copying: ['AgentRestarted', 'FenceLost', 'DumpLost', MOVED],
    staging: ['FenceLost', 'DumpLost', 'JournalLost'],
    restoring: WITHOUT_PAGES,
    paging: ['PagesLost', MOVED],
    removing: [MOVED],
  },
  'source stopped for good': {
    opening: ['TimedOut'],
    copying: ['TimedOut', 'AgentRestarted'],
    staging: ['TimedOut'],
    restoring: WITHOUT_PAGES,
    paging: ['PagesLost', MOVED],
    removing: [MOVED],
  },
} as const satisfies Record<string, Row>

export type BlowName = keyof typeof EXPECTED

const rowOf = (blow: BlowName): Row => EXPECTED[blow]

/** The pod's owner makes the destination, and the controller's webhook takes it: whoever is away just then is missed. */
const OWNER_WITHOUT_WEBHOOK: Ends = ['ReplacementNotMade', 'WebhookUnreachable']
const TAKES_THE_WEBHOOK_AWAY: ReadonlySet<BlowName> = new Set<BlowName>([
  'controller killed',
  'link of the destination cut for 1 s',
  'link of the source cut for 30 s',
  'link of the destination cut for 30 s',
  'link of the source cut for good',
  'link of the destination cut for good',
  'API server silent for 20 s',
  'destination stopped and started',
  'source stopped and started',
])

/** Whether there is something to hit. */
export const canHit = (blow: BlowName, step: Step): boolean => rowOf(blow)[step] !== undefined

/**
 * @param steps at which the blow may have landed
 * @param journal of the source, where its agent was killed: what it says decides
 * @param owned whether a Deployment makes the destination
 * @returns the ends that the design allows
 */
export function expectedEnds(blow: BlowName, steps: readonly Step[], journal?: JournalStep, owned = false): Ends {
  const ends = new Set<End>(steps.flatMap((step) => rowOf(blow)[step] ?? []))
  if (owned && steps.includes('opening') && TAKES_THE_WEBHOOK_AWAY.has(blow))
    for (const end of OWNER_WITHOUT_WEBHOOK) ends.add(end)
  if (blow !== 'source agent killed' || journal === undefined) return [...ends]
  if (journal === 'none' || journal === 'fenced') ends.delete('AgentRestarted')
  else if (ends.has('AgentRestarted')) ends.delete(MOVED)
  return [...ends]
}

/** What is known of the end of a move. */
export interface Ending {
  end: End
  isCommitted: boolean
}

/** @returns what is wrong with the end; undefined when the design's tables allow it */
export function faultOfEnd(
  blow: BlowName,
  steps: readonly Step[],
  ending: Ending,
  journal?: JournalStep,
  owned = false,
): string | undefined {
  const { end, isCommitted } = ending
  const expected = expectedEnds(blow, steps, journal, owned)
  if (!expected.includes(end)) {
    return `ended with ${end}; the design allows ${expected.join(', ') || 'nothing'} after ${blow} while ${steps.join(' or ')}`
  }
  if (end === MOVED || (isCommitted ? AFTER_COMMIT : BEFORE_COMMIT).has(end)) return undefined
  return `ended with ${end}, which cannot be the reason ${isCommitted ? 'after' : 'before'} the commit`
}
