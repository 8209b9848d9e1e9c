/** The node's table of mounts, as /proc/PID/mounts shows it. Pure. */

export interface OverlayMount {
  /** Absolute on the node. */
  target: string
  /** What mount(8) makes the same mount of again. */
  options: string[]
  /** The writable layer, absolute on the node. */
  upper: string
}

/** Flags of the mount itself that begin with `no`; what else begins so the kernel shows, but does not take. */
const NO_FLAGS: ReadonlySet<string> = new Set([
  'noatime',
  'nodev',
  'nodiratime',
  'noexec',
  'nolazytime',
  'nomand',
  'norelatime',
  'nosuid',
  'nosymfollow',
])

/**
 * @param mounts contents of /proc/PID/mounts
 * @returns the topmost overlay at that place; undefined when there is none
 */
export function findOverlay(mounts: string, target: string): OverlayMount | undefined {
  const line = mounts.split('\n').findLast((each) => {
    const [, place, type] = each.split(' ')
    return type === 'overlay' && place !== undefined && decode(place) === target
  })
  if (line === undefined) return undefined
  const options = decode(line.split(' ')[3] ?? '')
    .split(',')
    .filter((option) => !option.startsWith('no') || NO_FLAGS.has(option))
  const upper = options.find((option) => option.startsWith('upperdir='))?.slice('upperdir='.length)
  return upper?.startsWith('/') ? { target, options, upper } : undefined
}

/** Whether anything is mounted there. */
export const isMounted = (mounts: string, target: string): boolean =>
  mounts.split('\n').some((line) => decode(line.split(' ')[1] ?? '') === target)

/** @returns true when all lower layers are named from the root; containerd names many of them from their common folder */
export const hasAbsoluteLayers = ({ options }: OverlayMount): boolean =>
  lowerLayers(options).every((layer) => layer.startsWith('/'))

export const lowerLayers = (options: readonly string[]): string[] =>
  options.flatMap((option) =>
    option.startsWith('lowerdir=') ? option.slice('lowerdir='.length).split(/(?<!\\):/) : [],
  )

/**
 * @param folder absolute on the node
 * @returns what is mounted below it, the last first: that is the order in which it can be unmounted
 */
export const mountedBelow = (mounts: string, folder: string): string[] =>
  mounts
    .split('\n')
    .map((line) => decode(line.split(' ')[1] ?? ''))
    .filter((place) => place.startsWith(`${folder}/`))
    .reverse()

/** The kernel writes space, tab, line feed and backslash as octal numbers. */
const decode = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
