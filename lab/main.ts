/** `bin/lab`: reads the command line and runs one command. */

import { actOnNode, actOnPart } from './actions.ts'
import { type Command, parseArguments, USAGE } from './arguments.ts'
import { kubectlCommand, kubectlEnvironment } from './cluster.ts'
import { requireRootOnLinux } from './host.ts'
import { publishedRef, publishFromHost } from './images/publish.ts'
import { FIRST_IMAGES, IMAGES } from './images.ts'
import { startLabKafka, stopLabKafka } from './kafka.ts'
import { LabError } from './lab-error.ts'
import { labDown, labUp } from './lifecycle.ts'
import { withLock } from './lock.ts'
import { inMachine, machineEnvironment } from './machine.ts'
import { setRestoreSupport } from './node-settings.ts'
import { partLog } from './parts.ts'
import { enterLab } from './places.ts'
import { runAttached } from './run.ts'
import { setup } from './setup/setup.ts'
import { status } from './status.ts'

/** @returns the exit code. */
async function runCommand(command: Command): Promise<number> {
  switch (command.name) {
    case 'help':
      process.stdout.write(USAGE)
      return 0
    case 'up':
      await withLock('up', 'lab', async () => {
        const started = Date.now()
        await withLock('setup', 'cache', () => setup({ quietWhenDone: true, extras: false }))
        for (const node of command.noRestore) await setRestoreSupport(node, false)
        await labUp()
        console.log(`both nodes are Ready after ${((Date.now() - started) / 1000).toFixed(1)} s`)
      })
      return 0
    case 'down':
      await withLock('down', 'lab', () => labDown({ force: command.force }))
      return 0
    case 'setup':
      await withLock('setup', 'cache', () => setup({ quietWhenDone: false, extras: true }))
      return 0
    case 'kubectl':
      return runAttached(kubectlCommand(command.args), kubectlEnvironment())
    case 'enter':
      return runAttached(enterLab(command.argv))
    case 'shell':
      return runAttached(
        await inMachine(command.machine, command.argv.length > 0 ? command.argv : ['bash', '-i']),
        machineEnvironment(),
      )
    case 'logs':
      return runAttached([
        'tail',
        '-n',
        '200',
        ...(command.follow ? ['-f'] : []),
        partLog(command.machine, command.part),
      ])
    case 'status':
      process.stdout.write(await status())
      return 0
    case 'node':
      await withLock(`node ${command.node} ${command.action.do}`, 'lab', () => actOnNode(command.node, command.action))
      return 0
    case 'part':
      await actOnPart(command.part, command.action)
      return 0
    case 'image':
      if (command.action === 'list') console.log(IMAGES.join('\n'))
      else if (command.action === 'ref') for (const image of command.images) console.log(await publishedRef(image))
      else await publishFromHost(command.images.length > 0 ? command.images : FIRST_IMAGES)
      return 0
    case 'kafka':
      if (command.action === 'stop') await withLock('kafka stop', 'lab', stopLabKafka)
      else console.log(await withLock('kafka start', 'lab', startLabKafka))
      return 0
  }
}

try {
  const command = parseArguments(process.argv.slice(2))
  if (command.name !== 'help') requireRootOnLinux()
  process.exitCode = await runCommand(command)
} catch (error) {
  if (!(error instanceof LabError)) throw error
  console.error(`lab: ${error.message}`)
  process.exitCode = error.exitCode
}
