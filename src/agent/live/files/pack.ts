/**
 * Files on their way out: everything while the pod runs (level 0), what has changed once it stands still (level 1).
 *
 * Level 1 is tar's incremental archive: it lists each folder's names, so that deletions arrive too, and holds every file whose
 * mtime or ctime is not older than level 0's beginning. It only reads what level 0 has noted, so it can be repeated.
 */
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { uptime } from 'node:os'
import { join } from 'node:path'
import { PassThrough, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { replaceFile } from '../../files.ts'
import type { SourceRoot } from './roots.ts'
import { forgetMoved, forgetUnread, readSnapshot, writeSnapshot } from './snapshot.ts'
import { runTar, unreadNames, WHOLE_FILES } from './tar.ts'

export interface Packed {
  /** A tar archive; it ends only when all was packed well, and breaks off otherwise. */
  body: Readable
  /** Settles when all was packed; rejects with what tar said. */
  done: Promise<void>
}
