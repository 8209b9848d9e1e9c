/** Every version the lab is built from. A changed pin rebuilds what depends on it, because cache entries carry these in their stamp. */

export const KUBERNETES = '1.34.4'
export const CONTAINERD = '2.3.4'
export const RUNC = '1.3.6'
export const KAFKA = '4.1.1'
/** The Scala build that the Kafka artifact's name carries. */
export const KAFKA_SCALA = '2.13'
export const SLF4J_SIMPLE = '1.7.36'

/** First Debian suite whose CRIU (4.2) dumps TCP sockets on Linux 6.16 and newer. */
export const DEBIAN_SUITE = 'forky'

/** What every lab machine's root file system holds, besides Debian's minimum. */
export const DEBIAN_PACKAGES = [
  'buildah',
  'busybox-static',
  'ca-certificates',
  'conntrack',
  'containernetworking-plugins',
  'criu',
  'curl',
  'docker-registry',
  'etcd-server',
  'iproute2',
  'iptables',
  'jq',
  'kmod',
  'kubectl',
  'libseccomp2',
  // buildah refuses to do anything without it.
  'netavark',
  'nftables',
  'procps',
  'python3',
  'redis-server',
  'util-linux',
] as const

/** What the tree that compiles the Go programs holds, where the host has no Go of its own. */
export const BUILDER_PACKAGES = [
  'ca-certificates',
  'gcc',
  'git',
  'golang-go',
  'libc6-dev',
  'libseccomp-dev',
  'pkg-config',
] as const

/** The oldest Go that may build them; it fetches no newer toolchain by itself where GOTOOLCHAIN=local. */
export const GO_AT_LEAST = [1, 24] as const

/** The archive that `PODFERRY_LAB_BINARIES` may name: the Go programs of exactly these versions, ready built. */
export const BINARIES_SHA256 = '1741dbbb6e5b1b883b0673d997aa07e93c83466e1d4b1b15d8e54d74787f4a36'
