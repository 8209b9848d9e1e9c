/** metav1.Condition. `type` narrows to a component's own names. */
export interface Condition<Type extends string = string> {
  type: Type
  status: 'True' | 'False' | 'Unknown'
  /** One CamelCase word. */
  reason: string
  message: string
  /** RFC 3339 in whole seconds. */
  lastTransitionTime: string
  observedGeneration?: number
}

interface NewCondition<Type extends string> {
  type: Type
  status: Condition['status']
  reason: string
  message?: string
  observedGeneration?: number | undefined
}

/** The condition of that type, if it was ever set. */
export function getCondition<Type extends string>(
  conditions: readonly Condition<Type>[] | undefined,
  type: Type,
): Condition<Type> | undefined {
  return conditions?.find((condition) => condition.type === type)
}

/** True when the condition is set and `True`. */
export function isConditionTrue<Type extends string>(
  conditions: readonly Condition<Type>[] | undefined,
  type: Type,
): boolean {
  return getCondition(conditions, type)?.status === 'True'
}

/**
 * The list with that condition set, in its old place or at the end. `lastTransitionTime` moves only when `status` changes;
 * the very same list comes back when nothing changes.
 */
export function setCondition<Type extends string>(
  conditions: readonly Condition<Type>[] | undefined,
  condition: NewCondition<Type>,
  now: Date,
): Condition<Type>[] {
  const list = conditions ?? []
  const known = getCondition(list, condition.type)
  const { observedGeneration = known?.observedGeneration } = condition
  const next: Condition<Type> = {
    type: condition.type,
    status: condition.status,
    reason: condition.reason,
    message: condition.message ?? '',
    lastTransitionTime: known?.status === condition.status ? known.lastTransitionTime : toSeconds(now),
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
  }
  if (known === undefined) return [...list, next]
  if (isSame(known, next)) return list as Condition<Type>[]
  return list.map((entry) => (entry === known ? next : entry))
}

function isSame(left: Condition, right: Condition): boolean {
  return (
    left.status === right.status &&
    left.reason === right.reason &&
    left.message === right.message &&
    left.observedGeneration === right.observedGeneration
  )
}

// metav1.Time drops fractions: writing them would make every comparison with what the server stored differ.
function toSeconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z')
}
