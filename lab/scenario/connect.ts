/** A client of the lab's API server, for scenarios and tests. */
import { createClient, type KubeClient } from '../../src/kube/client.ts'
import { kubeconfigConnection } from '../../src/kube/kubeconfig.ts'
import { KUBECONFIG } from '../places.ts'

/** The caller must be inside the lab's network namespace. */
export async function connect(): Promise<KubeClient> {
  return createClient({ connection: await kubeconfigConnection({ kubeconfig: KUBECONFIG }), role: 'cli' })
}
