/** Where podferry's controller runs: a blow that takes a node away must leave somebody to decide. */
import { NODES as NODE_OBJECTS, PODS } from '../../../src/api/resources.ts'
import type { KubeClient } from '../../../src/kube/client.ts'
import type { NodeName } from '../../places.ts'
import { NAMESPACE } from '../deploy.ts'
import { whole } from './readiness.ts'

const SELECTOR = 'app.kubernetes.io/component=controller'

/** Moves the controller to another node if it is on that one. */
export async function keepControllerOff(client: KubeClient, name: NodeName): Promise<void> {
  const pods = await client.list(PODS, { namespace: NAMESPACE, labelSelector: SELECTOR })
  const there = pods.items.filter(({ spec }) => spec.nodeName === name)
  if (there.length === 0) return
  const schedulable = (unschedulable: boolean) =>
    client.patch(NODE_OBJECTS, undefined, name, { type: 'merge', body: { spec: { unschedulable } } })
  await schedulable(true)
  try {
    for (const pod of there) await client.delete(PODS, NAMESPACE, pod.metadata.name, { gracePeriodSeconds: 1 })
    await whole(client)
  } finally {
    await schedulable(false)
  }
}
