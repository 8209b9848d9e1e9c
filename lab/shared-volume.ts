/** A volume that both nodes can mount: a flexVolume whose driver binds a folder that the nodes share, as a file server would serve it. */

/** On the nodes, without the leading slash. */
export const SHARED_FOLDER = 'srv/shared'
/** As a PersistentVolume names it. */
export const SHARED_DRIVER = 'podferry.dev/shared'
/** Where kubelet looks for it. */
export const SHARED_VOLUME_DRIVER = 'usr/libexec/kubernetes/kubelet-plugins/volume/exec/podferry.dev~shared/shared'

/** `mount FOLDER OPTIONS`, with the folder's name as option `share`. */
export const SHARED_VOLUME_SCRIPT = `#!/bin/sh
case "$1" in
  init) echo '{"status": "Success", "capabilities": {"attach": false}}' ;;
  mount)
    share=$(printf %s "$3" | sed -n 's/.*"share":"\\([a-z0-9-]*\\)".*/\\1/p')
    if [ -n "$share" ] && mkdir -p "/${SHARED_FOLDER}/$share" "$2" && mount --bind "/${SHARED_FOLDER}/$share" "$2"
    then echo '{"status": "Success"}'
    else echo '{"status": "Failure", "message": "share not mounted"}'; exit 1
    fi ;;
  unmount)
    if umount "$2"; then echo '{"status": "Success"}'; else echo '{"status": "Failure", "message": "umount failed"}'; exit 1; fi ;;
  *) echo '{"status": "Not supported"}'; exit 1 ;;
esac
`
