/** What tests, demo and benchmark do to a running lab. `lifecycle.ts` starts and stops it. */
import { join } from 'node:path'
import { execIn, runningInit } from './machine.ts'
import { linkIsUp, setLink, setRate } from './network.ts'
import { killPart, pausePart, resumePart, startPart, stopPart } from './parts.ts'
import { CONTROL_PLANE, DEBIAN_TREE, enterLab, KUBECONFIG, type NodeName } from './places.ts'
import { startNode, stopNode } from './power.ts'
import { type RunOptions, run } from './run.ts'
import { withTreeLoader } from './tree-programs.ts'

export function kubectlCommand(args: readonly string[]): string[] {
  return enterLab(withTreeLoader([join(DEBIAN_TREE, 'usr/bin/kubectl'), ...args]))
}

export function kubectlEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, KUBECONFIG }
}

/**
 * Runs kubectl as cluster admin in the lab's network; files named in `args` are the host's.
 * @returns standard output.
 * @throws LabError with what kubectl said when it fails.
 */
export function kubectl(args: readonly string[], options: RunOptions = {}): Promise<string> {
  return run(kubectlCommand(args), { env: kubectlEnvironment(), ...options })
}

export type NodePart = 'containerd' | 'kubelet' | 'kube-proxy'
export type ControlPlanePart = 'etcd' | 'apiserver' | 'controller-manager' | 'scheduler' | 'registry'

/** A node's power, cable and parts. Every promise settles once the change is in effect (a boot: once the parts start). */
export function node(name: NodeName) {
  return {
    name,
    /** Runs a command in all of the node's namespaces. @returns standard output. @throws LabError when it fails. */
    exec: (argv: readonly string[], options: RunOptions = {}) => execIn(name, argv, options),
    /** @returns the node's root folder as the host sees it; valid until the node's next boot. */
    root: async () => `/proc/${await runningInit(name)}/root`,
    /** `kill -9`; the part comes back after a second. */
    kill: (part: NodePart) => killPart(name, part),
    /** Keeps a part down until `startPart`. */
    stopPart: (part: NodePart) => stopPart(name, part),
    startPart: (part: NodePart) => startPart(name, part),
    stop: () => stopNode(name),
    start: () => startNode(name),
    cut: () => setLink(name, 'down'),
    join: () => setLink(name, 'up'),
    isJoined: () => linkIsUp(name),
    /** @param rate as `tc` reads it, e.g. `100mbit`; undefined lifts the limit. */
    slow: (rate: string | undefined) => setRate(name, rate),
  }
}

/** A supervised part of the control plane. */
export function part(name: ControlPlanePart) {
  return {
    kill: () => killPart(CONTROL_PLANE, name),
    stop: () => stopPart(CONTROL_PLANE, name),
    start: () => startPart(CONTROL_PLANE, name),
    pause: () => pausePart(CONTROL_PLANE, name),
    resume: () => resumePart(CONTROL_PLANE, name),
  }
}
