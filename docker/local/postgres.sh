#!/bin/sh
# PostgreSQL 15 or newer from Debian's packages, without Docker: one server in one folder, on loopback and a free port.
#
#   docker/local/postgres.sh start FOLDER     makes the server the first time; prints its URL, which FOLDER/url keeps (mode 600)
#   docker/local/postgres.sh stop FOLDER [fast|immediate]     immediate: as a crash; the next start recovers
#
# The server keeps its port and its password over restarts. As root it runs as the user postgres, who must be able to reach FOLDER.
set -eu
umask 077

say() { echo "postgres.sh: $*" >&2; exit "${code:-1}"; }
[ $# -ge 2 ] || { code=2; say "usage: start|stop FOLDER [fast|immediate]"; }
command=$1 folder=$2 how=${3:-fast}

programs=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$programs" ] || say "PostgreSQL is not here; install it: apt-get install postgresql"

as_server() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

case $command in
    start)
        mkdir -p "$folder"
        folder=$(cd "$folder" && pwd)
        if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; fi
        as_server test -w "$folder" || say "the user postgres cannot reach $folder: choose another folder"
        if [ ! -e "$folder/url" ]; then
            password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
            port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
            echo "$password" | as_server tee "$folder/password" >/dev/null
            as_server "$programs/initdb" --pgdata="$folder/data" --username=wardpost --pwfile="$folder/password" \
                --auth=scram-sha-256 --encoding=UTF8 --locale=C --data-checksums >/dev/null
            rm "$folder/password"
            as_server tee -a "$folder/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
CONF
            echo "postgresql://wardpost:$password@127.0.0.1:$port/postgres" >"$folder/url"
        fi
        as_server "$programs/pg_ctl" start --silent --wait --pgdata="$folder/data" --log="$folder/log" >/dev/null ||
            say "it did not start; see $folder/log"
        cat "$folder/url"
        ;;
    stop) as_server "$programs/pg_ctl" stop --silent --wait --mode="$how" --pgdata="$folder/data" ;;
    *) code=2; say "usage: start|stop FOLDER [fast|immediate]" ;;
esac
