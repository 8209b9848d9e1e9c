#!/bin/sh
# Process 1 of a lab machine: runs every part in /parts, starts it again one second after it ends, and reaps orphans.
# /parts/NAME.sh starts the part, NAME.log takes its output, NAME.pid its process number, NAME.stopped keeps it down.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd /

supervise() {
  part=$1
  while :; do
    if [ -e "/parts/$part.stopped" ]; then
      sleep 0.2
      continue
    fi
    sh "/parts/$part.sh" >>"/parts/$part.log" 2>&1 </dev/null &
    echo $! >"/parts/$part.pid"
    wait $!
    rm -f "/parts/$part.pid"
    [ -e "/parts/$part.stopped" ] || sleep 1
  done
}

rm -f /parts/*.pid
for script in /parts/*.sh; do
  part=${script##*/}
  supervise "${part%.sh}" &
done
# `wait` takes any child that ends, orphans of the parts among them; it must not end itself.
while :; do
  wait
  sleep 1
done
