/** containerd's image names and the CRI's view of them, in memory: what leads where, and what vanishes with what. */
import type { ContainerdImages } from '../containerd-images.ts'
import type { CriClient, CriContainer, CriImage } from '../cri.ts'

type Sandbox = Awaited<ReturnType<CriClient['sandboxes']>>[number]

interface FakeRuntime {
  cri: CriClient
  images: ContainerdImages
  /** Name → digest of the manifest that it leads to. */
  names: Map<string, string>
  sandboxes: Sandbox[]
  containers: CriContainer[]
  /** As the CRI pulls: the tag, the digest reference and the config's digest all lead to the manifest. */
  pull(reference: string, digest: string, labels?: Record<string, string>): void
}

const has = (labels: Record<string, string>, wanted: Readonly<Record<string, string>>) =>
  Object.entries(wanted).every(([key, value]) => labels[key] === value)

const isID = (name: string) => name.startsWith('sha256:')

/** The config's digest of an image, derived from its manifest's. */
const idOf = (digest: string): string => `${digest}-config`

export function createFakeRuntime(): FakeRuntime {
  const names = new Map<string, string>()
  const labels = new Map<string, Record<string, string>>()
  const sandboxes: Sandbox[] = []
  const containers: CriContainer[] = []

  const imageOf = (digest: string): CriImage => {
    const own = [...names].filter(([name, target]) => target === digest && !isID(name)).map(([name]) => name)
    return {
      id: idOf(digest),
      repoTags: own.filter((name) => !name.includes('@')),
      repoDigests: own.filter((name) => name.includes('@')),
      uid: null,
      username: '',
    }
  }
  const image = async (reference: string) => {
    const digest = names.get(reference)
    return digest === undefined ? undefined : imageOf(digest)
  }

  return {
    names,
    sandboxes,
    containers,
    pull(reference, digest, imageLabels = {}) {
      labels.set(digest, imageLabels)
      const repository = reference.replace(/:[^:/]+$/, '')
      for (const name of [reference, `${repository}@${digest}`, idOf(digest)]) names.set(name, digest)
    },
    cri: {
      version: async () => ({ runtimeName: 'containerd', runtimeVersion: 'v2.3.3' }),
      statusInfo: async () => ({}),
      sandboxes: async (wanted) => sandboxes.filter((sandbox) => has(sandbox.labels, wanted)),
      containers: async (wanted) => containers.filter((container) => has(container.labels, wanted)),
      image,
      imageLabels: async (reference) => labels.get(names.get(reference) ?? '') ?? {},
      images: async () => [...new Set(names.values())].map(imageOf),
      async removeImage(reference) {
        const digest = names.get(reference)
        // All names at once: that is what makes it dangerous for an alias.
        for (const [name, target] of names) if (target === digest) names.delete(name)
      },
      close() {},
    },
    images: {
      async get(name) {
        const digest = names.get(name)
        return digest === undefined
          ? undefined
          : { name, labels: {}, target: { mediaType: '', digest, size: '0', annotations: {} } }
      },
      namesUnder: async (prefix) => [...names.keys()].filter((name) => name.startsWith(prefix)),
      async point(name, { digest }) {
        names.set(name, digest)
      },
      async remove(name) {
        names.delete(name)
      },
      close() {},
    },
  }
}
