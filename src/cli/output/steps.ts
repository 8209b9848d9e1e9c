/** A Migration's history as the seven steps that people watch. Pure. */
import { type ConditionType, condition, isFinished, isTrue, rollbackCause } from '../../api/conditions.ts'
import type { Migration } from '../../api/migration.ts'
import { elapsedMs } from '../../api/timestamps.ts'

type StepState = 'done' | 'running' | 'waiting' | 'failed' | 'skipped'

export interface StepView {
  title: string
  /** The condition that ends the step. */
  type: ConditionType
  state: StepState
  /** When the step before it ended, RFC 3339. */
  since?: string
  /** Of a step that has ended. */
  tookMs?: number
  /** The condition's message, if it has one. */
  message?: string
}

type Step = readonly [title: string, type: ConditionType]

const ACCEPT: Step = ['Accept', 'Accepted']
const PREPARE: Step = ['Prepare', 'DestinationReady']
const CHECKPOINT: Step = ['Checkpoint', 'Checkpointed']
const COMMIT: Step = ['Commit', 'Committed']
const RESTORE: Step = ['Restore', 'Restored']
const REMOVE: Step = ['Remove source', 'SourceRemoved']

const IMAGE_STEPS = [ACCEPT, PREPARE, CHECKPOINT, ['Deliver', 'Delivered'], COMMIT, RESTORE, REMOVE] as const
/** Memory follows when the process runs already. */
const LIVE_STEPS = [ACCEPT, PREPARE, CHECKPOINT, COMMIT, RESTORE, ['Stream memory', 'Delivered'], REMOVE] as const

/** @returns the steps in order: what has ended, the one at work, what is to come */
export function stepsOf({ metadata, status }: Migration): StepView[] {
  const views: StepView[] = []
  let since: string | undefined = metadata.creationTimestamp
  for (const [title, type] of status?.mode === 'Live' ? LIVE_STEPS : IMAGE_STEPS) {
    const found = condition(status, type)
    const state = stateOf(found?.status, since !== undefined && !isFinished(status))
    const ended = state === 'done' || state === 'failed' ? found?.lastTransitionTime : undefined
    views.push({
      title,
      type,
      state: state === 'waiting' && isFinished(status) ? 'skipped' : state,
      ...(since === undefined ? {} : { since }),
      ...tookOf(type, since, ended),
      ...(found?.message ? { message: found.message } : {}),
    })
    since = state === 'done' ? ended : undefined
  }
  return rollbackCause(status) ? [...settled(views), rollbackStep(status)] : views
}

/** The API server tells a creation in whole seconds: only a wait for a controller, which is longer, is worth telling. */
const WORTH_TELLING_MS = 2_000

function tookOf(type: ConditionType, since: string | undefined, ended: string | undefined): { tookMs?: number } {
  if (since === undefined || ended === undefined) return {}
  const tookMs = elapsedMs(since, ended)
  return type === 'Accepted' && tookMs < WORTH_TELLING_MS ? {} : { tookMs }
}

function stateOf(truth: 'True' | 'False' | 'Unknown' | undefined, active: boolean): StepState {
  if (truth === 'True') return 'done'
  if (truth === 'False') return 'failed'
  return active ? 'running' : 'waiting'
}

/** Nothing goes forward any more: what was at work or to come is left out, and the refusal to commit because a step failed. */
function settled(views: StepView[]): StepView[] {
  const failed = views.findIndex(({ state }) => state === 'failed')
  return views.map((view, place) => {
    const echo = view.type === 'Committed' && place > failed && failed >= 0
    return view.state === 'running' || view.state === 'waiting' || echo ? { ...view, state: 'skipped' } : view
  })
}

function rollbackStep(status: Migration['status']): StepView {
  const from = rollbackCause(status)
  const end = condition(status, 'Succeeded')
  const finished = isFinished(status) && !isTrue(status, 'Succeeded')
  return {
    title: 'Roll back',
    type: 'Succeeded',
    state: finished ? 'done' : 'running',
    ...(from ? { since: from.lastTransitionTime } : {}),
    ...(finished && from && end ? { tookMs: elapsedMs(from.lastTransitionTime, end.lastTransitionTime) } : {}),
    ...(finished && end?.message ? { message: end.message } : {}),
  }
}
