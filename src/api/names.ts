/** Every name under podferry's own domain, in one place: they are part of the API and must not drift. */

export const GROUP = 'podferry.dev'
export const VERSION = 'v1alpha1'
export const API_VERSION = `${GROUP}/${VERSION}`
export const KIND = 'Migration'

/** Holds a Migration until both nodes are clean. */
export const FINALIZER = `${GROUP}/cleanup`

/** On a Migration: asks for a rollback. The value says who asked. Without effect after the commit. */
export const CANCEL_ANNOTATION = `${GROUP}/cancel`

/** On a Migration whose destination is lost: a person's word that the destination node is off. Read once, then taken away. */
export const RECOVER_ANNOTATION = `${GROUP}/recover`
/** The one value of RECOVER_ANNOTATION that means something. */
export const RESUME_SOURCE = 'resume-source'

/** On a destination pod of mode Live: the Migration's UID. Makes the OCI runtime wait for the agent; it gives no right to any state. */
export const AWAIT_ANNOTATION = `${GROUP}/await`
/** RuntimeClass, and the runtime's handler, whose OCI runtime heeds AWAIT_ANNOTATION. */
export const RUNTIME_CLASS = 'podferry'
/** On a node, with value `true`: its agent has found everything that mode Live needs. */
export const LIVE_LABEL = `${GROUP}/live`

/** On a node: what its agent reports of it, as JSON; see node-facts.ts. */
export const FACTS_ANNOTATION = `${GROUP}/facts`

/** On a destination pod: the Migration's UID. A hint for people and caches; it gives no right to any state. */
export const MIGRATION_UID_LABEL = `${GROUP}/migration-uid`
export const MIGRATION_NAME_ANNOTATION = `${GROUP}/migration`
/** On a destination pod: the name that the first pod of the chain had. */
export const ORIGIN_NAME_ANNOTATION = `${GROUP}/origin-name`
/** On a destination pod: JSON map from container name to the image that a person once wrote into the pod. */
export const ORIGINAL_IMAGES_ANNOTATION = `${GROUP}/original-images`

/** The MutatingWebhookConfiguration of the manifests, which the controller fills in. */
export const WEBHOOK_CONFIGURATION = 'podferry-owners'
/** By which a Deployment's ReplicaSet knows its pods. */
export const HASH_LABEL = 'pod-template-hash'
/** By which a Job knows its pods. */
export const JOB_LABEL = 'batch.kubernetes.io/controller-uid'
/** By which a StatefulSet knows of which template a pod of its is. */
export const REVISION_LABEL = 'controller-revision-hash'
/** What a ReplicaSet that is one over looks at; the value before a move is kept in DELETION_COST_ANNOTATION. */
export const KUBERNETES_DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'
export const DELETION_COST_ANNOTATION = `${GROUP}/deletion-cost`
/** On a pod that exists in a dry run only: asks the webhook whether it is alive. The webhook answers with the second. */
export const PROBE_ANNOTATION = `${GROUP}/probe`
/** generateName of such a pod. */
export const PROBE_NAME = 'podferry-probe-'
export const PROBED_ANNOTATION = `${GROUP}/probed`

export const NAMESPACE = 'podferry-system'
