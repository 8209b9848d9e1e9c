/** The label by which controller and RuntimeClass know the nodes that can send and take live moves. */
import { LIVE_LABEL } from '../../api/names.ts'
import { NODES } from '../../api/resources.ts'
import type { KubeClient } from '../../kube/client.ts'

/**
 * @param able false takes the label away; nothing happens when it is not there
 * @throws KubeError
 */
export async function labelNode(client: KubeClient, nodeName: string, able: boolean): Promise<void> {
  const body = { metadata: { labels: { [LIVE_LABEL]: able ? 'true' : null } } }
  await client.patch(NODES, undefined, nodeName, { type: 'merge', body })
}
