/**
 * The page keeper's process: `main FOLDER`. It reads its configuration from standard input and lives until its work is over or its
 * agent kills it; nothing else ends one that holds a connection, for with it would go what it holds. Not a role of the command line:
 * that takes longer to start.
 */

import { once } from 'node:events'
import { constants, fstatSync, openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { KeeperConfig } from './config.ts'
import { serveControl } from './control.ts'
import { startDestination } from './destination.ts'
import { writeLog as log } from './log.ts'
import { startSource } from './source.ts'

const FOLDER_LOOK_MS = 1_000

/** One that holds nothing, and that nobody can reach any more. */
let isIdle = async (): Promise<boolean> => true
const folder = openSync(process.argv[2] ?? '', constants.O_RDONLY | constants.O_DIRECTORY)
setInterval(async () => {
  if (fstatSync(folder).nlink > 0 || !(await isIdle())) return
  log('its folder was removed')
  process.exit(0)
}, FOLDER_LOOK_MS).unref()

// One line, not all: who has prepared this process for later holds its standard input open.
const [line] = await once(createInterface({ input: process.stdin }), 'line')
process.stdin.destroy()
const config = JSON.parse(line) as KeeperConfig
const over = () => process.exit(0)
const answer =
  config.role === 'source' ? await startSource(config, log, over) : await startDestination(config, log, over)
isIdle = async () => (await answer({ do: 'state' })).phase === 'waiting'
await serveControl(config.folder, answer)

// Only now: a keeper that cannot start must end.
for (const name of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(name, (error) =>
    log('an error that nobody has caught', { error: error instanceof Error ? error.stack : String(error) }),
  )
}
for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => log(`${name} is ignored`))
