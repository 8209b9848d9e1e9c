/** What about the cluster forbids every move. Only a person's command looks so far; a controller that runs has most of it. */
import { blocks, warns } from '../../api/finding.ts'
import { GROUP, NAMESPACE, VERSION } from '../../api/names.ts'
import type { Check } from './check.ts'

/** What a person's command has found out about the cluster. */
export interface ClusterFacts {
  /** Kubernetes' own, such as `v1.34.4`. */
  version?: string
  /** Versions of kind Migration that are served; undefined: the kind is not there. */
  served?: readonly string[]
  /** Whether the kind has the fields that this program knows; undefined: it can't be seen. */
  current?: boolean
  /** Of the Deployment podferry-controller; undefined: it can't be seen. */
  controllers?: number
  /** Whether there is RuntimeClass podferry; undefined: it can't be seen. */
  runtimeClass?: boolean
  /** What the person may not do and would have to, such as `create migrations.podferry.dev`. */
  forbidden?: readonly string[]
}

const OLDEST_KUBERNETES = 30

type Told = (facts: ClusterFacts) => ReturnType<Check>

/** Silent where nobody has looked. */
const told =
  (check: Told): Check =>
  ({ snapshot: { cluster } }) =>
    cluster && check(cluster)

const kind = told(({ served, current }) => {
  if (served === undefined || !served.includes(VERSION)) {
    const has = served === undefined ? 'no kind Migration' : `kind Migration in ${served.join(', ')} only`
    const remedy = 'make deploy IMG=… (see README.md)'
    return blocks('NotInstalled', `the cluster has ${has}`, `podferry works with ${GROUP}/${VERSION}`, remedy)
  }
  return current === false
    ? warns(
        'DefinitionDiffers',
        `the cluster's definition of ${GROUP}/${VERSION} is not that of this program`,
        'fields of the newer one are dropped by the older one',
        'bring both to the same version (make install)',
      )
    : undefined
})

const controller = told(({ controllers }) =>
  controllers === 0
    ? blocks(
        'NoController',
        `no podferry controller is ready in namespace ${NAMESPACE}`,
        'nobody would look at a Migration',
        `see kubectl -n ${NAMESPACE} get pods -l app.kubernetes.io/component=controller -o wide`,
      )
    : undefined,
)

const runtimeClass = told((facts) =>
  facts.runtimeClass === false
    ? warns(
        'NoRuntimeClass',
        'the cluster has no RuntimeClass podferry',
        'mode Live needs it for the destination pod',
        'make deploy IMG=… brings it',
      )
    : undefined,
)

const kubernetes = told(({ version }) => {
  const minor = Number(/^v?1\.(\d+)/.exec(version ?? '')?.[1] ?? OLDEST_KUBERNETES)
  return minor < OLDEST_KUBERNETES
    ? blocks(
        'KubernetesTooOld',
        `the cluster is Kubernetes ${version}`,
        'the kubelet makes checkpoints without a feature gate, and agents are bound to their nodes, from 1.30 on',
        'upgrade the cluster',
      )
    : undefined
})

const rights = told(({ forbidden = [] }) =>
  forbidden.map((right) =>
    blocks(
      'NotAllowed',
      `you may not ${right}`,
      'podferry migrate does it in your name',
      'ask for a role that has it: edit and admin do, once podferry is installed',
    ),
  ),
)

export const clusterChecks: readonly Check[] = [kind, controller, runtimeClass, kubernetes, rights]
