/** The two modes behind one face: each Migration goes to the handler of the mode that it was accepted in. */
import type { MigrationHandler } from './context.ts'
import type { DestinationHandler } from './destination/handler.ts'
import type { SourceHandler } from './source/handler.ts'

interface Modes<Handler> {
  image: Handler
  live: Handler
}

function handlerByMode({ image, live }: Modes<MigrationHandler>): MigrationHandler {
  return {
    reconcile: (migration) => (migration.status?.mode === 'Live' ? live : image).reconcile(migration),
    // Without the object nobody knows its mode; who knows nothing of it does nothing.
    async forget(uid) {
      await Promise.all([image.forget(uid), live.forget(uid)])
    },
  }
}

export const sourceByMode = ({ image, live }: Modes<SourceHandler>): SourceHandler => ({
  ...handlerByMode({ image, live }),
  recover() {
    image.recover()
    live.recover()
  },
  async close(patienceMs) {
    await Promise.all([image.close(patienceMs), live.close(patienceMs)])
  },
})

export const destinationByMode = ({ image, live }: Modes<DestinationHandler>): DestinationHandler => ({
  ...handlerByMode({ image, live }),
  async sweep() {
    await Promise.all([image.sweep(), live.sweep()])
  },
})
