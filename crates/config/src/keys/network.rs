//! Broker keys: listeners, connections, requests.

rows! {
    "advertised.listeners" List null [list null] High ReadOnly Later
        "";
    "background.threads" Int "10" [1 ..] High ClusterWide Later
        "";
    "connection.failed.authentication.delay.ms" Int "100" [0 ..] Low ReadOnly Later
        "";
    "connections.max.idle.ms" Long "600000" [any] Medium ReadOnly Later
        "";
    "early.start.listeners" List null [list empty null] High ReadOnly Later
        "";
    "fetch.max.bytes" Int "57671680" [1024 ..] Medium ReadOnly Later
        "";
    "inter.broker.listener.name" String null [any] Medium ReadOnly Later
        "";
    "listener.security.protocol.map" String "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT" [any] Low PerBroker Later
        "";
    "listeners" List "PLAINTEXT://:9092" [list] High PerBroker Later
        "";
    "max.connection.creation.rate" Int "2147483647" [0 ..] Medium ClusterWide Later
        "";
    "max.connections" Int "2147483647" [0 ..] Medium ClusterWide Later
        "";
    "max.connections.per.ip" Int "2147483647" [0 ..] Medium ClusterWide Later
        "";
    "max.connections.per.ip.overrides" String "" [any] Medium ClusterWide Later
        "";
    "max.incremental.fetch.session.cache.slots" Int "1000" [0 ..] Medium ReadOnly Later
        "";
    "max.request.partition.size.limit" Int "2000" [1 ..] Medium ReadOnly Later
        "";
    "num.io.threads" Int "8" [1 ..] High ClusterWide Later
        "";
    "num.network.threads" Int "3" [1 ..] High ClusterWide Later
        "";
    "queued.max.request.bytes" Long "-1" [any] Medium ReadOnly Later
        "";
    "queued.max.requests" Int "500" [1 ..] High ReadOnly Later
        "";
    "request.timeout.ms" Int "30000" [any] High ReadOnly Later
        "";
    "socket.connection.setup.timeout.max.ms" Long "30000" [any] Medium ReadOnly Later
        "";
    "socket.connection.setup.timeout.ms" Long "10000" [any] Medium ReadOnly Later
        "";
    "socket.listen.backlog.size" Int "50" [1 ..] Medium ReadOnly Later
        "";
    "socket.receive.buffer.bytes" Int "102400" [any] High ReadOnly Later
        "";
    "socket.request.max.bytes" Int "104857600" [1 ..] High ReadOnly Later
        "";
    "socket.send.buffer.bytes" Int "102400" [any] High ReadOnly Later
        "";
}
