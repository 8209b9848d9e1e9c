/** Everything that must be in the cache before machines can boot. */
import { mkdir } from 'node:fs/promises'
import { isFresh } from '../cache.ts'
import { installTools, missingTools } from '../host.ts'
import { LabError } from '../lab-error.ts'
import { initOf } from '../machine.ts'
import { CACHE, MACHINES } from '../places.ts'
import { runSteps, type Step } from '../progress.ts'
import { CONTAINERD, DEBIAN_PACKAGES, DEBIAN_SUITE, KAFKA, KUBERNETES, RUNC } from '../versions.ts'
import { CONTAINERD_PROGRAM, GO_PROGRAMS, KUBERNETES_PROGRAM, RUNC_PROGRAM, seedBinaries } from './binaries.ts'
import { debianEntry, makeDebianTree } from './debian.ts'
import { buildContainerd, buildKubernetes, buildRunc } from './go-build.ts'
import { prepareToolchain, toolchainIsReady } from './go-toolchain.ts'
import { fetchKafka, kafkaIsReady } from './kafka-jars.ts'
import { fetchPostgres, postgresIsReady } from './postgres.ts'
import { compilePrograms, programsEntry } from './programs.ts'

const TREE = debianEntry('debian', DEBIAN_PACKAGES)

async function haveGoPrograms(): Promise<boolean> {
  return (await Promise.all(GO_PROGRAMS.map(({ entry }) => isFresh(entry)))).every(Boolean)
}

function goSteps(): Step[] {
  const archive = process.env.PODFERRY_LAB_BINARIES
  if (archive)
    return [
      {
        name: 'take Go programs from the archive',
        estimate: 15,
        done: haveGoPrograms,
        run: () => seedBinaries(archive),
      },
    ]
  return [
    {
      name: 'get a Go compiler',
      estimate: 60,
      done: async () => (await haveGoPrograms()) || (await toolchainIsReady()),
      run: prepareToolchain,
    },
    {
      name: `build Kubernetes ${KUBERNETES}`,
      estimate: 540,
      done: () => isFresh(KUBERNETES_PROGRAM.entry),
      run: buildKubernetes,
    },
    {
      name: `build containerd ${CONTAINERD}`,
      estimate: 100,
      done: () => isFresh(CONTAINERD_PROGRAM.entry),
      run: buildContainerd,
    },
    { name: `build runc ${RUNC}`, estimate: 30, done: () => isFresh(RUNC_PROGRAM.entry), run: buildRunc },
  ]
}

function kafkaStep(): Step {
  return { name: `fetch Kafka ${KAFKA}`, estimate: 40, done: kafkaIsReady, run: fetchKafka }
}

const postgresStep = (): Step => ({
  name: 'fetch PostgreSQL',
  estimate: 60,
  done: postgresIsReady,
  run: fetchPostgres,
})

function steps(): Step[] {
  return [
    { name: 'install host tools', estimate: 20, done: async () => missingTools().length === 0, run: installTools },
    ...goSteps(),
    {
      name: `make the Debian ${DEBIAN_SUITE} tree`,
      estimate: 70,
      done: () => isFresh(TREE),
      run: () => makeDebianTree(TREE, DEBIAN_PACKAGES),
    },
    {
      name: 'compile test programs',
      estimate: 3,
      done: async () => isFresh(await programsEntry()),
      run: compilePrograms,
    },
  ]
}

/**
 * Fills the cache, showing its progress on standard error; quiet when all is there.
 * @throws LabError when something must be built anew under a running lab.
 */
export async function setup(options: { quietWhenDone: boolean; extras: boolean }): Promise<void> {
  await mkdir(CACHE, { recursive: true })
  const base = steps()
  const all = options.extras ? [...base, kafkaStep(), postgresStep()] : base
  if ((await allDone(all)) && options.quietWhenDone) return
  if (!(await allDone(base)))
    for (const machine of MACHINES)
      if ((await initOf(machine)) !== undefined)
        throw new LabError('the lab runs on what must be built anew: run bin/lab down first')
  await runSteps(all, process.stderr)
}

async function allDone(list: readonly Step[]): Promise<boolean> {
  return (await Promise.all(list.map((step) => step.done()))).every(Boolean)
}
