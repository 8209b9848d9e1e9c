/**
 * `node src/install/undeploy.ts OVERLAY [--force]`: podferry is taken out of a cluster, in the order that leaves nothing behind:
 * first Migrations (their finalizers need the controller), then what agents have put on nodes, then the objects.
 */
import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { FACTS_ANNOTATION, LIVE_LABEL, NAMESPACE } from '../api/names.ts'
import { renderConfig } from './render.ts'

interface UndeployOptions {
  overlay: string
  /** What runs kubectl. */
  kubectl: readonly string[]
  /** Takes podferry away even from a Migration or node that is not finished: a pod may stay frozen. */
  force: boolean
  say?: (line: string) => void
}

const MIGRATIONS = 'migrations.podferry.dev'
const FINISH_SECONDS = 90
const RESTART_MS = 2_000
const ANSWER_MS = 30_000
const POLL_MS = 500

/** @throws Error that says what is in the way */
export async function undeploy({ overlay, kubectl, force, say = () => {} }: UndeployOptions): Promise<void> {
  const run = (args: readonly string[], input?: string) => runKubectl([...kubectl, ...args], input)
  await removeMigrations(run, force, say)
  await cleanUpNodes(run, force, say)
  say('removing the objects')
  const manifest = await renderConfig({ overlay, images: {}, kubectl })
  await run(['delete', '--ignore-not-found', '--wait', '-f', '-'], manifest)
  await run(['delete', 'certificatesigningrequests', '-l', 'app.kubernetes.io/managed-by=podferry'])
}

type Run = (args: readonly string[], input?: string) => Promise<string>

async function removeMigrations(run: Run, force: boolean, say: (line: string) => void): Promise<void> {
  if ((await run(['get', 'crd', MIGRATIONS, '--ignore-not-found', '-o', 'name'])) === '') return
  say('removing Migrations; active ones are rolled back first')
  try {
    await run(['delete', MIGRATIONS, '--all', '--all-namespaces', `--timeout=${FINISH_SECONDS}s`])
  } catch (cause) {
    if (!force) {
      const message = `Migrations do not end in ${FINISH_SECONDS} s: are controller and agents running? FORCE=1 removes them anyway and may leave a pod frozen`
      throw new Error(message, { cause })
    }
    const rows = '{range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{"\\n"}{end}'
    for (const row of lines(await run(['get', MIGRATIONS, '-A', '-o', `jsonpath=${rows}`]))) {
      const [namespace = '', name = ''] = row.split(' ')
      await run(['-n', namespace, 'patch', MIGRATIONS, name, '--type=merge', '-p', '{"metadata":{"finalizers":null}}'])
    }
  }
}

/** The agents themselves take from their nodes what they have put there; the registries, whose storage goes too, end before. */
async function cleanUpNodes(run: Run, force: boolean, say: (line: string) => void): Promise<void> {
  const own = ['-n', NAMESPACE]
  if ((await run(['get', 'namespace', NAMESPACE, '--ignore-not-found', '-o', 'name'])) === '') return
  await run([...own, 'delete', 'daemonset/podferry-registry', '--ignore-not-found', '--cascade=foreground', '--wait'])
  const pods = lines(await run([...own, 'get', 'pods', '-l', 'app.kubernetes.io/component=agent', '-o', 'name']))
  for (const pod of pods) {
    say(`cleaning up the node of ${pod}`)
    const cleanup = ['/usr/local/bin/node', '/app/src/main.js', 'uninstall-node', ...(force ? ['--force'] : [])]
    try {
      await run([...own, 'exec', pod, '--', ...cleanup])
    } catch (cause) {
      if (!force) throw new Error(`the node of ${pod} was not cleaned up; FORCE=1 goes on without`, { cause })
      say(`the node of ${pod} was not cleaned up: ${(cause as Error).message}`)
    }
  }
  // Also of nodes that have no agent any more.
  await run(['label', 'nodes', '-l', LIVE_LABEL, `${LIVE_LABEL}-`])
  await run(['annotate', 'nodes', '--all', `${FACTS_ANNOTATION}-`])
  if (pods.length === 0) return
  // A containerd that loses its runtime handler restarts a second later; then kubelet can end the pods.
  await delay(RESTART_MS)
  for (const pod of pods) await answers(run, [...own, 'exec', pod, '--', 'true'])
}

async function answers(run: Run, args: readonly string[]): Promise<void> {
  const deadline = Date.now() + ANSWER_MS
  while (Date.now() < deadline) {
    try {
      await run(args)
      return
    } catch {
      await delay(POLL_MS)
    }
  }
  // What follows says better what is wrong.
}

const lines = (text: string): string[] => text.split('\n').filter(Boolean)

function runKubectl([command = '', ...args]: readonly string[], input?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { maxBuffer: 64 << 20 }, (error, stdout, stderr) =>
      error ? reject(new Error(stderr.trim() || error.message, { cause: error })) : resolve(stdout.trim()),
    )
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}

if (import.meta.main) {
  const [overlay = 'default'] = process.argv.slice(2)
  const kubectl = (process.env.KUBECTL ?? 'kubectl').split(' ')
  try {
    await undeploy({ overlay, kubectl, force: process.argv.includes('--force'), say: (line) => console.log(line) })
  } catch (error) {
    const { message, cause } = error as Error
    console.error(cause instanceof Error ? `${message}\n${cause.message}` : message)
    process.exitCode = 1
  }
}
