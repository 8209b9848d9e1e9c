/** What podferry's manifests start: each role is loaded only when it is asked for. */
import type { Command } from 'commander'

export const ROLES: Readonly<Record<string, () => Promise<Command>>> = {
  controller: async () => (await import('./roles/controller.ts')).controllerCommand(),
  agent: async () => (await import('./roles/agent.ts')).agentCommand(),
  'event-handler': async () => (await import('./roles/event-handler.ts')).eventHandlerCommand(),
  'registry-config': async () => (await import('./roles/registry-config.ts')).registryConfigCommand(),
  'uninstall-node': async () => (await import('./roles/uninstall-node.ts')).uninstallNodeCommand(),
}
