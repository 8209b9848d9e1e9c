/** The labs in which tests run. */
import { execFileSync } from 'node:child_process'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { instanceSuffix, kubeconfigOf, type MachineName, netnsPath } from '../lab/places.ts'
import type { Level } from './levels.ts'

export interface TestLab {
  readonly kubeconfig: string
  /** Of whoever is to find this lab. */
  readonly environment: NodeJS.ProcessEnv
  netnsOf(machine: MachineName): string
  /** Runs a command of `bin/lab`. */
  run(...args: string[]): void
}

/** What two labs need, the programs of the tests included. */
const ROOMY_BYTES = 12 * 1024 ** 3
const MAIN = join(import.meta.dirname, '../lab/main.ts')
const OWN = process.env.PODFERRY_LAB_INSTANCE ?? ''

/** End-to-end tests wait most of their time, so two labs share the machine. Component tests share its ports and cgroups: one lab. */
export const labsFor = (level: Level): TestLab[] =>
  (level === 'e2e' && totalmem() >= ROOMY_BYTES ? [OWN, `${OWN}2`] : [OWN]).map(labNamed)

function labNamed(instance: string): TestLab {
  const suffix = instanceSuffix(instance)
  const environment = { ...process.env, PODFERRY_LAB_INSTANCE: instance }
  return {
    environment,
    kubeconfig: kubeconfigOf(suffix),
    netnsOf: (machine) => netnsPath(machine, suffix),
    run: (...args) => {
      execFileSync(process.execPath, [MAIN, ...args], { stdio: 'inherit', env: environment })
    },
  }
}
