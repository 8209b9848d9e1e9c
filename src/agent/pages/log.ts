/** A keeper's log: one JSON line each, into keeper.log. The agent's logger would double the time that a keeper takes to start. */
export type KeeperLog = (message: string, fields?: object) => void

export const writeLog: KeeperLog = (message, fields) => {
  process.stderr.write(`${JSON.stringify({ time: Date.now(), msg: message, ...fields })}\n`)
}
