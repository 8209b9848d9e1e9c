/** Keeps the node's annotation with the facts up to date: written only when something has changed. */
import type { Logger } from 'pino'
import { FACTS_ANNOTATION } from '../../api/names.ts'
import type { NodeFacts } from '../../api/node-facts.ts'
import { NODES } from '../../api/resources.ts'
import type { KubeClient } from '../../kube/client.ts'
import { type FactSources, quickFacts, slowFacts } from './collect.ts'

/** A refusal for what has been mended meanwhile should not last longer than a person takes to try again. */
const QUICK_MS = 15_000
const SLOW_MS = 5 * 60_000

interface Reporter {
  client: Pick<KubeClient, 'patch'>
  nodeName: string
  log: Logger
  sources: FactSources
}

/** @returns what stops it */
export function reportFacts({ client, nodeName, log, sources }: Reporter): () => Promise<void> {
  let slow: { facts: Partial<NodeFacts>; at: number } | undefined
  let told: string | undefined
  let running: Promise<void> | undefined

  const look = async () => {
    const now = Date.now()
    if (slow === undefined || now - slow.at >= SLOW_MS) {
      slow = { facts: await slowFacts(sources), at: now }
      // Somebody else may have changed or removed the annotation.
      told = undefined
    }
    const facts = JSON.stringify({ ...slow.facts, ...(await quickFacts(sources)) })
    if (facts === told) return
    await annotate(client, nodeName, facts)
    told = facts
  }
  const turn = () => {
    // A turn that hangs in a program of the node is not doubled.
    running ??= look()
      .catch((err) => log.warn({ err }, "the node's facts could not be reported"))
      .finally(() => {
        running = undefined
      })
  }
  turn()
  const timer = setInterval(turn, QUICK_MS)
  return async () => {
    clearInterval(timer)
    await running
  }
}

/** For a node that podferry leaves. @throws KubeError */
export const forgetFacts = (client: Pick<KubeClient, 'patch'>, nodeName: string): Promise<void> =>
  annotate(client, nodeName, null)

async function annotate(client: Pick<KubeClient, 'patch'>, nodeName: string, facts: string | null): Promise<void> {
  const body = { metadata: { annotations: { [FACTS_ANNOTATION]: facts } } }
  await client.patch(NODES, undefined, nodeName, { type: 'merge', body })
}
