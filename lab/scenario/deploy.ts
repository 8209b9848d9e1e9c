/** podferry in the lab, installed by its own manifests as pods: put there, waited for, taken away. */

import { join } from 'node:path'
import { renderConfig } from '../../src/install/render.ts'
import { undeploy } from '../../src/install/undeploy.ts'
import { kubectl, kubectlCommand, node } from '../cluster.ts'
import { publishedRef, publishFromHost } from '../images/publish.ts'
import { imageRef } from '../images.ts'
import { CHECKOUT, GATEWAY, NODES } from '../places.ts'
import { run } from '../run.ts'
import { eventually } from './eventually.ts'
import { lastRecord } from './kafka-records.ts'

export type BusName = 'kubernetes' | 'kafka'

export const NAMESPACE = 'podferry-system'
const OVERLAYS: Record<BusName, string> = { kubernetes: 'lab', kafka: 'lab-kafka' }
/** `bin/lab`, without a shell in between. */
const LAB = [process.execPath, join(CHECKOUT, 'lab/main.ts')]
/** Registry, event handler and agent answer on the loopback of their node. */
export const HEALTH = ['http://127.0.0.1:5577/v2/', 'http://127.0.0.1:5579/healthz', 'http://127.0.0.1:5580/healthz']
const ROLLOUT_SECONDS = 180

/**
 * Installs what this checkout holds, or brings an older installation to it; the same again changes nothing.
 *
 * @throws LabError with what kubectl said, pods' states included, when a part does not become ready in time
 */
export async function deployPodferry({ bus }: { bus: BusName }): Promise<void> {
  await publishFromHost(['podferry:dev', 'registry:2'])
  if (bus === 'kafka') await run([...LAB, 'kafka', 'start'])
  const manifest = await renderConfig({
    overlay: OVERLAYS[bus],
    // By digest: a changed image then restarts what runs it.
    images: { [repositoryOf('podferry:dev')]: await publishedRef('podferry:dev') },
    kubectl: kubectlCommand([]),
  })
  await kubectl(['apply', '--server-side', '--force-conflicts', '--field-manager=podferry', '-f', '-'], {
    input: manifest,
  })
  await kubectl(['wait', '--for=condition=Established', 'crd/migrations.podferry.dev', '--timeout=30s'])
  await ready()
}

const repositoryOf = (image: string) => imageRef(image).slice(0, -image.slice(image.lastIndexOf(':')).length)

/** Waits until controller, agents and registries are Ready: after a deployment, and after kills. */
export async function ready(): Promise<void> {
  const parts = ['deployment/podferry-controller', 'daemonset/podferry-registry', 'daemonset/podferry-agent']
  const rollout = (part: string) =>
    kubectl(['-n', NAMESPACE, 'rollout', 'status', part, `--timeout=${ROLLOUT_SECONDS}s`])
  try {
    await Promise.all(parts.map(rollout))
  } catch (cause) {
    const pods = await kubectl(['-n', NAMESPACE, 'get', 'pods', '-o', 'wide'])
    throw new Error(`podferry is not ready in the lab:\n${pods}`, { cause })
  }
  // The API server hears of a killed process only when the kubelet has noticed: ask the processes themselves.
  await Promise.all(
    NODES.flatMap((name) =>
      HEALTH.map((url) =>
        eventually(`${url} answers on ${name}`, async () => {
          await node(name).exec(['curl', '-sf', '-o', '/dev/null', url])
          return true
        }),
      ),
    ),
  )
}

/** Takes podferry out of the lab: its objects, and what its agents have put on the nodes. */
export async function undeployPodferry(): Promise<void> {
  await undeploy({ overlay: 'lab', kubectl: [...LAB, 'kubectl'], force: false })
}

/** The caller must be inside the lab's network namespace. @returns what the lab's broker last heard of a Migration */
export const lastKafkaRecord = (migrationUID: string): Promise<string | undefined> =>
  lastRecord(`${GATEWAY}:9092`, migrationUID)
