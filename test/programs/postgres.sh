# PostgreSQL, one session that writes all the time and one whose transaction stays open until somebody ends it through /data/session.
# To be evaluated, not run: a shell keeps its script open, and an open file of a ConfigMap does not move.
set -eu
cluster=/data/cluster
ask() { psql --host=/data --username=me --dbname=postgres --no-psqlrc --tuples-only --no-align --quiet "$@"; }

# See lab/images/not-root.c.
mkdir -m 0700 "$cluster"
chown 65534 "$cluster"
export LD_PRELOAD=/usr/lib/not-root.so

initdb --pgdata="$cluster" --username=me --auth=trust --no-sync --locale=C --encoding=UTF8 >/data/initdb.log
postgres -D "$cluster" -k /data -c listen_addresses= -c jit=off -c shared_buffers=32MB </dev/null >/data/postgres.log 2>&1 &
until ask --command='select 1' >/dev/null 2>&1; do sleep 0.1; done
ask --command="create table book as select n, md5(n::text) as word from generate_series(1, 50000) n"
ask --command='create table ticks (n bigint primary key)'

mkfifo /data/session
ask </data/session >/data/session.log 2>&1 &
exec 3>/data/session
echo "begin; insert into book values (0, 'written before the moves');" >&3

echo 'insert into ticks select coalesce(max(n), 0) + 1 from ticks returning n \watch i=0.05' | ask >/data/ticks.log 2>&1 &
wait
