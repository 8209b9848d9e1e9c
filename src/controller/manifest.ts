/** The source pod as the commit keeps it: recreated, its object is gone by the time the destination is made from it. */
import type { Migration } from '../api/migration.ts'
import type { Pod } from '../api/pod.ts'

/** @returns for `status.source.manifest` */
export const manifestOf = ({ metadata: { labels = {}, annotations = {} }, spec }: Pod): string =>
  JSON.stringify({ labels, annotations, spec })

/** @returns the source pod, or undefined before the commit and after the end */
export function sourceFrom({ metadata, spec: { podName: name }, status }: Migration): Pod | undefined {
  const { manifest, podUID: uid } = status?.source ?? {}
  if (manifest === undefined || uid === undefined) return undefined
  const { labels, annotations, spec } = JSON.parse(manifest) as Pick<Pod, 'spec'> &
    Pick<Pod['metadata'], 'labels' | 'annotations'>
  const { namespace, creationTimestamp } = metadata
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      uid,
      creationTimestamp,
      resourceVersion: '',
      ...(namespace ? { namespace } : {}),
      ...(labels ? { labels } : {}),
      ...(annotations ? { annotations } : {}),
    },
    spec,
  }
}
