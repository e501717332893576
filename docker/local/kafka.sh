#!/usr/bin/env bash
# Apache Kafka (KRaft) on loopback, from Maven's jars on Java 17: for development and tests, without Docker.
#
#   kafka.sh start FOLDER [BROKERS [secure]]   1 (default) or 3 brokers; prints host:port,... ; starts again what is down, data kept
#   kafka.sh stop FOLDER                       stops them; the data stay in FOLDER
#
# secure: clients need TLS and a SCRAM login, user wardpost; FOLDER/ca.pem vouches for the brokers, FOLDER/password is the password.
# FOLDER/1/pid … are the brokers' process ids. Exit 3: Java 17 or the jars cannot be had here, and why.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/wardpost-kafka
jars=$cache/$version
heap="-Xms256m -Xmx384m -XX:MaxDirectMemorySize=128m -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError -Djava.net.preferIPv4Stack=true"

absent() { echo "kafka.sh: $*" >&2; exit 3; }

get_jars() {
    [ -e "$jars/complete" ] && return
    command -v java >/dev/null || absent "Java is not here"
    command -v mvn >/dev/null || absent "Maven is not here"
    mkdir -p "$cache"
    local fresh
    fresh=$(mktemp -d "$cache/fetch.XXXXXX")
    mvn -q -B -C -f "$here/pom.xml" -Djars="$fresh" package >&2 || { rm -rf "$fresh"; absent "Maven cannot reach the jars"; }
    touch "$fresh/complete"
    mv -T "$fresh" "$jars" 2>/dev/null || rm -rf "$fresh" # somebody else was faster
}

is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The process of broker $1, if it is alive and really this one.
pid_of() {
    local pid
    pid=$(cat "$folder/$1/pid" 2>/dev/null) && grep -qzF "$folder/$1/server.properties" "/proc/$pid/cmdline" 2>/dev/null && echo "$pid"
}

# Ten free ports in a row: 1-3 clients, 4-6 between brokers, 7-9 controllers.
choose_ports() {
    local base port
    while :; do
        base=$((20000 + RANDOM % 1200 * 10)) # below what the system gives to outgoing connections
        for port in $(seq "$((base + 1))" "$((base + 9))"); do is_open "$port" && continue 2; done
        echo "$base" >"$folder/base"
        return
    done
}

# One key and certificate for all brokers, and the password of the one user; made once. PKCS#8 and PEM, which Kafka reads as they are.
make_secrets() {
    [ -e "$folder/password" ] && return
    command -v openssl >/dev/null || absent "openssl is not here"
    (
        umask 077
        openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=wardpost local kafka" -addext "subjectAltName=IP:127.0.0.1" \
            -keyout "$folder/key.pem" -out "$folder/ca.pem" 2>/dev/null
        cat "$folder/key.pem" "$folder/ca.pem" >"$folder/keystore.pem"
        openssl rand -hex 16 >"$folder/password"
    )
}

configure() { # ID
    local id=$1 replicas=1 in_sync=1 flush=1 voters="" protocol=PLAINTEXT scram=()
    if [ -e "$folder/password" ]; then
        protocol=SASL_SSL
        scram=(--add-scram "SCRAM-SHA-512=[name=wardpost,password=$(cat "$folder/password")]")
    fi
    if [ "$brokers" = 3 ]; then replicas=3 in_sync=2 flush=9223372036854775807; fi
    for n in $(seq "$brokers"); do voters+="${voters:+,}$n@127.0.0.1:$((base + 6 + n))"; done
    mkdir -p "$folder/$id"
    # One broker alone flushes every record, so that acks=all also outlives a power cut; three rely on each other.
    cat >"$folder/$id/server.properties" <<TEXT
process.roles=broker,controller
node.id=$id
controller.quorum.voters=$voters
listeners=CLIENT://127.0.0.1:$((base + id)),BETWEEN://127.0.0.1:$((base + 3 + id)),CONTROLLER://127.0.0.1:$((base + 6 + id))
advertised.listeners=CLIENT://127.0.0.1:$((base + id)),BETWEEN://127.0.0.1:$((base + 3 + id))
listener.security.protocol.map=CLIENT:$protocol,BETWEEN:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BETWEEN
controller.listener.names=CONTROLLER
log.dirs=$folder/$id/data
log.flush.interval.messages=$flush
default.replication.factor=$replicas
min.insync.replicas=$in_sync
unclean.leader.election.enable=false
auto.create.topics.enable=false
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$in_sync
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$in_sync
share.coordinator.state.topic.num.partitions=3
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
num.network.threads=2
num.io.threads=2
background.threads=2
log.cleaner.dedupe.buffer.size=16777216
TEXT
    [ "$protocol" = PLAINTEXT ] || cat >>"$folder/$id/server.properties" <<TEXT
listener.name.client.ssl.keystore.type=PEM
listener.name.client.ssl.keystore.location=$folder/keystore.pem
listener.name.client.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
TEXT
    cat >"$folder/$id/log4j2.properties" <<TEXT
status=warn
appender.file.type=File
appender.file.name=FILE
appender.file.fileName=$folder/$id/server.log
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=warn
rootLogger.appenderRef.file.ref=FILE
TEXT
    [ -e "$folder/$id/data/meta.properties" ] ||
        java -Xmx128m -cp "$jars/*" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw -c "$folder/$id/server.properties" "${scram[@]}" \
            >"$folder/$id/format.log" 2>&1 || { cat "$folder/$id/format.log" >&2; exit 1; }
}

start() {
    get_jars
    if [ "$secure" = secure ]; then make_secrets; fi
    [ -e "$folder/base" ] || choose_ports
    base=$(cat "$folder/base")
    local id addresses="" tries
    for id in $(seq "$brokers"); do
        pid_of "$id" >/dev/null && continue
        configure "$id"
        # shellcheck disable=SC2086  # several options in one variable
        nohup java $heap -Dlog4j2.configurationFile="$folder/$id/log4j2.properties" -Dkafka.logs.dir="$folder/$id" \
            -cp "$jars/*" kafka.Kafka "$folder/$id/server.properties" >"$folder/$id/out.log" 2>&1 </dev/null &
        echo $! >"$folder/$id/pid"
    done
    for id in $(seq "$brokers"); do
        tries=0
        until is_open "$((base + id))"; do
            tries=$((tries + 1))
            if [ "$tries" = 600 ] || ! pid_of "$id" >/dev/null; then
                tail -n 20 "$folder/$id/out.log" "$folder/$id/server.log" >&2 || true
                echo "kafka.sh: broker $id did not start" >&2
                exit 1
            fi
            sleep 0.2
        done
        addresses+="${addresses:+,}127.0.0.1:$((base + id))"
    done
    echo "$addresses"
}

stop() {
    local id pid
    for id in 1 2 3; do if pid=$(pid_of "$id"); then kill -CONT "$pid" && kill "$pid"; fi; done
    for id in 1 2 3; do
        for _ in $(seq 150); do pid_of "$id" >/dev/null || break; sleep 0.2; done
        if pid=$(pid_of "$id"); then kill -9 "$pid"; fi
    done
}

[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$2"
folder=$(cd "$2" && pwd)
brokers=${3:-1} secure=${4:-}
case $1,$brokers,$secure in
    start,[13], | start,[13],secure) start ;;
    stop,*) stop ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
