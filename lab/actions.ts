/** `lab node …` and `lab part …`: the command line's words turned into calls. */
import type { NodeAction, PartAction } from './arguments.ts'
import { setLink, setRate } from './network.ts'
import { setRestoreSupport } from './node-settings.ts'
import { killPart, pausePart, resumePart, startPart, stopPart } from './parts.ts'
import { CONTROL_PLANE, type NodeName } from './places.ts'
import { startNode, stopNode } from './power.ts'

export function actOnNode(node: NodeName, action: NodeAction): Promise<void> {
  switch (action.do) {
    case 'stop':
      return stopNode(node)
    case 'start':
      return startNode(node)
    case 'cut':
      return setLink(node, 'down')
    case 'join':
      return setLink(node, 'up')
    case 'slow':
      return setRate(node, action.rate)
    case 'kill':
      return killPart(node, action.part)
    case 'restore':
      return setRestoreSupport(node, action.on)
  }
}

const PART_ACTIONS = { kill: killPart, stop: stopPart, start: startPart, pause: pausePart, resume: resumePart }

export function actOnPart(part: string, action: PartAction): Promise<void> {
  return PART_ACTIONS[action](CONTROL_PLANE, part)
}
