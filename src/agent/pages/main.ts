/**
 * The page keeper's process. It reads its configuration from standard input and lives until its work is over or its agent kills it;
 * nothing else ends it, for with it would go what it holds. Not a role of the command line: that takes longer to start.
 */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { KeeperConfig } from './config.ts'
import { serveControl } from './control.ts'
import { startDestination } from './destination.ts'
import { writeLog as log } from './log.ts'
import { startSource } from './source.ts'

// One line, not all: who has prepared this process for later holds its standard input open.
const [line] = await once(createInterface({ input: process.stdin }), 'line')
process.stdin.destroy()
const config = JSON.parse(line) as KeeperConfig
const over = () => process.exit(0)
const answer =
  config.role === 'source' ? await startSource(config, log, over) : await startDestination(config, log, over)
await serveControl(config.folder, answer)

// Only now: a keeper that cannot start must end.
for (const name of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(name, (error) =>
    log('an error that nobody has caught', { error: error instanceof Error ? error.stack : String(error) }),
  )
}
for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => log(`${name} is ignored`))
