/** Which container runtimes restore a container when its image is a checkpoint (background: runtime-contracts 2.1 and 3). */
import type { RuntimeVersion } from './cri.ts'

export type RestoreSupport = { able: true } | { able: false; message: string }

type Version = readonly [major: number, minor: number, patch: number]

const CONTAINERD_SETTING =
  "enable_experimental_restore_via_create = true under [plugins.'io.containerd.cri.v1.runtime'] in containerd's config.toml"

/**
 * @param version of CRI Version
 * @param info of CRI Status, verbose: containerd puts its configuration as JSON under `config`
 */
export function restoreSupport(version: RuntimeVersion, info: Readonly<Record<string, string>>): RestoreSupport {
  const name = `${version.runtimeName} ${version.runtimeVersion}`
  const parsed = parseVersion(version.runtimeVersion)
  if (parsed === undefined) return unable(`${name}: its version cannot be read, so whether it restores is not known`)
  if (version.runtimeName === 'containerd') return containerdSupport(name, parsed, containerdConfig(info))
  if (version.runtimeName === 'cri-o') return crioSupport(name, parsed)
  return unable(`${name} cannot restore a checkpoint; use containerd 2.3 or CRI-O 1.30 or newer`)
}

function containerdSupport(name: string, version: Version, config: Record<string, unknown>): RestoreSupport {
  if (isBefore(version, [2, 1, 0])) return unable(`${name} cannot restore a checkpoint; upgrade to containerd 2.3`)
  if (!isBefore(version, [2, 4, 0])) {
    return unable(
      `${name} has no restore from a checkpoint image any more (removed in 2.4); use spec.mode Live or containerd 2.3`,
    )
  }
  if (config.enableCRIU === false) {
    return unable(`${name} has CRIU turned off; set enable_criu = true in containerd's config.toml`)
  }
  // The switch speaks for itself where it exists; before that, the release tells.
  const enabled = config.enableExperimentalRestoreViaCreate ?? !hasSwitch(version)
  return enabled === true ? { able: true } : unable(`${name} has restore turned off; set ${CONTAINERD_SETTING}`)
}

const hasSwitch = (version: Version) =>
  (version[1] === 2 && !isBefore(version, [2, 2, 7])) || (version[1] === 3 && !isBefore(version, [2, 3, 4]))

// 1.28 and 1.29 can, but CRIU is off there by default and nothing in the CRI tells whether it was turned on.
function crioSupport(name: string, version: Version): RestoreSupport {
  return isBefore(version, [1, 30, 0])
    ? unable(`${name} restores only with settings that cannot be seen; upgrade to CRI-O 1.30 or newer`)
    : { able: true }
}

const unable = (message: string): RestoreSupport => ({ able: false, message })

/** `v2.3.4`, `2.1.9~ds1`, `v2.2.1-k3s1`, `2.4.0-beta.0`: what follows the three numbers never matters here. */
function parseVersion(text: string): Version | undefined {
  const [, major, minor, patch] = /^v?(\d+)\.(\d+)\.(\d+)/.exec(text) ?? []
  return major === undefined ? undefined : [Number(major), Number(minor), Number(patch)]
}

function isBefore(version: Version, other: Version): boolean {
  const index = version.findIndex((part, position) => part !== other[position])
  return index >= 0 && Number(version[index]) < Number(other[index])
}

function containerdConfig(info: Readonly<Record<string, string>>): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(info.config ?? '{}')
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
