/** A node whose OCI runtime refuses to restore one container: a restore takes a tenth of a second, and to strike it may come too late. */
import { node } from '../cluster.ts'
import type { NodeName } from '../places.ts'

const COUNT = '/run/refused-restores'

/** Everything but that restore is the real one's. */
const refusing = (runc: string, container: string): string => `#!/bin/sh
case " $* " in *" restore "*"/${container}/image "*)
  echo . >>${COUNT}
  exit 1 ;;
esac
exec ${runc}.real "$@"
`

/** @returns what `work` returns, and how many restores were refused meanwhile */
export async function whileRestoresFail<T>(
  name: NodeName,
  container: string,
  work: () => Promise<T>,
): Promise<{ result: T; refused: number }> {
  const { exec } = node(name)
  const runc = (await exec(['sh', '-c', 'readlink -f "$(command -v runc)"'])).trim()
  // Renamed into place: at no moment is there no runtime.
  const replace = `rm -f ${COUNT}; cp -p "$1" "$1.real" && printf %s "$2" >"$1.new" && chmod 755 "$1.new" && mv "$1.new" "$1"`
  await exec(['sh', '-c', replace, 'sh', runc, refusing(runc, container)])
  try {
    const result = await work()
    const said = await exec(['sh', '-c', `cat ${COUNT} 2>/dev/null || true`])
    return { result, refused: said.split('\n').filter(Boolean).length }
  } finally {
    await exec(['mv', `${runc}.real`, runc])
  }
}
