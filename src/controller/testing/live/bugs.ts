/** Rules of the design that a test breaks on purpose: each must be found out, or the model is too tame. */

export const PLANTED = {
  commitWithoutPrecondition: 'a source agent that commits without precondition',
  sourceDeletedEarly: 'a controller that deletes the source before Delivered',
  thawOnRestoredFalse: 'a source thawed on Restored=False before the destination is proved gone',
  thawOnDeliveredFalse: 'a source thawed on Delivered=False before the destination is proved gone',
  gateByOwnKnowledge: 'a destination agent that opens the gate without asking the API server',
  createdAgain: 'a controller that makes the destination pod again after the abort',
  deliveredTwice: 'a Delivered that is written over',
  lateOverlooked: 'a rollback that ends before a late destination pod is gone',
  recoverAnytime: "a person's word that is taken while the node is not lost",
  forgottenWord: "a person's word that outlives its outage",
  proofWithoutLooking: 'a destination agent that calls the pod removed without looking',
  markByAnnotation: 'a pod that may start afresh because of its annotation alone',
  unwindFenced: 'a source agent that unwinds what is fenced after a restart',
  releaseUnwritten: 'a controller that releases the source before it has written so',
  handedBackEarly: 'a source that is handed back while it stands still',
  cheapSource: 'a source that is handed back as cheap as any other',
  finishedByDaemon: 'a page keeper that says finished when the daemon has ended',
} as const

export type Bugs = { [name in keyof typeof PLANTED]?: true }
