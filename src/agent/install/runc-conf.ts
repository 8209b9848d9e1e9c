/** podferry's block in /etc/criu/runc.conf, which runc hands to CRIU at every dump and restore. Pure. */
import { PodferryError } from '../../errors.ts'

export const RUNC_CONF = '/etc/criu/runc.conf'
export const HOOK_PATH = '/opt/podferry/criu-fence'

// CRIU's parser drops everything from a word that begins with '#' (criu/config.c, parse_statement).
const BEGIN = '# BEGIN podferry: managed by its agent, changes here are lost'
const END = '# END podferry'

/** Nothing of the Kubernetes path sets CRIU's options: this file is the only way (one option a line, no dashes). */
const OPTIONS = [
  'tcp-close',
  'file-locks',
  'link-remap',
  'ghost-limit 64M',
  'skip-in-flight',
  // CRIU would drop every packet of the pod until it resumes it itself; killed, or in an abort, it leaves the pod cut off for ever.
  'network-lock skip',
  `action-script ${HOOK_PATH}`,
]

/**
 * @param text the file now, empty when there is none
 * @returns the file with podferry's block, in its old place or else at the end; everything else as it was
 * @throws PodferryError `ForeignActionScript`, `RuncConfDamaged`
 */
export function withBlock(text: string): string {
  const { before, after } = split(text)
  const foreign = [...before, ...after].find((line) => /^\s*action-script(\s|=|$)/.test(line))
  if (foreign !== undefined) {
    throw new PodferryError({
      reason: 'ForeignActionScript',
      message: `${RUNC_CONF} on the node has "${foreign.trim()}": two action scripts would fence without knowing of each other; remove that line`,
      retry: 'afterChange',
    })
  }
  return [...before, BEGIN, ...OPTIONS, END, ...after].join('\n')
}

/**
 * @returns the file without podferry's block, everything else as it was
 * @throws PodferryError `RuncConfDamaged` when the block has a beginning and no end
 */
export function withoutBlock(text: string): string {
  const { before, after } = split(text)
  return [...before, ...after].join('\n')
}

/** The lines before and after the block; a file that ends with a line feed has an empty last line. */
function split(text: string): { before: string[]; after: string[] } {
  const lines = text.split('\n')
  const begin = lines.findIndex((line) => line.startsWith('# BEGIN podferry'))
  if (begin < 0)
    return lines.at(-1) === '' ? { before: lines.slice(0, -1), after: [''] } : { before: lines, after: [''] }
  const end = lines.indexOf(END, begin)
  if (end < 0) {
    throw new PodferryError({
      reason: 'RuncConfDamaged',
      message: `${RUNC_CONF} on the node has "${lines[begin]}" without "${END}"; remove podferry's lines by hand`,
      retry: 'afterChange',
    })
  }
  return { before: lines.slice(0, begin), after: lines.slice(end + 1) }
}
