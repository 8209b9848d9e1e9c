/** The modes behind one face: each Migration goes to the handler of the mode that it was accepted in. */
import type { MigrationHandler } from './context.ts'
import type { DestinationHandler } from './destination/handler.ts'
import type { SourceHandler } from './source/handler.ts'

interface Modes<Handler> {
  image: Handler
  live: Handler
}

interface DestinationModes extends Modes<DestinationHandler> {
  /** Mode Image where podferry's own OCI runtime restores. */
  wrapped: DestinationHandler
}

export const sourceByMode = ({ image, live }: Modes<SourceHandler>): SourceHandler => ({
  reconcile: (migration) => (migration.status?.mode === 'Live' ? live : image).reconcile(migration),
  // Without the object nobody knows its mode; who knows nothing of it does nothing.
  forget: (uid) => allForget([image, live], uid),
  recover() {
    image.recover()
    live.recover()
  },
  async close(patienceMs) {
    await Promise.all([image.close(patienceMs), live.close(patienceMs)])
  },
})

export const destinationByMode = ({ image, wrapped, live }: DestinationModes): DestinationHandler => ({
  reconcile(migration) {
    const { mode, destination } = migration.status ?? {}
    const ofImage = destination?.restorer === 'Wrapper' ? wrapped : image
    return (mode === 'Live' ? live : ofImage).reconcile(migration)
  },
  forget: (uid) => allForget([image, wrapped, live], uid),
  async sweep() {
    await Promise.all([image.sweep(), wrapped.sweep(), live.sweep()])
  },
})

async function allForget(handlers: readonly MigrationHandler[], uid: string): Promise<void> {
  await Promise.all(handlers.map((handler) => handler.forget(uid)))
}
