//! Broker keys: listeners, connections, requests.

rows! {
    "advertised.listeners" List null [list null] High ReadOnly Acts
        "What clients are told to connect to; `listeners` when not set.";
    "background.threads" Int "10" [1 ..] High ClusterWide None
        "Size of a thread pool that Monedula does not have.";
    "connection.failed.authentication.delay.ms" Int "100" [0 ..] Low ReadOnly Later
        "How long the answer to a failed authentication is held back.";
    "connections.max.idle.ms" Long "600000" [any] Medium ReadOnly Acts
        "A connection without a request for so long is closed; -1 never.";
    "early.start.listeners" List null [list empty null] High ReadOnly Later
        "Listeners that accept connections before the broker is ready; those of the controller when not set.";
    "fetch.max.bytes" Int "57671680" [1024 ..] Medium ReadOnly Acts
        "Most bytes in one fetch response; one batch always fits.";
    "inter.broker.listener.name" String null [any] Medium ReadOnly Acts
        "The listener that brokers use among themselves.";
    "listener.security.protocol.map" String "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT" [any] Low PerBroker Acts
        "`NAME:PROTOCOL` for each listener: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.";
    "listeners" List "PLAINTEXT://:9092" [list] High PerBroker Acts
        "What is bound: `NAME://HOST:PORT` each; an empty host means every interface.";
    "max.connection.creation.rate" Int "2147483647" [0 ..] Medium ClusterWide Later
        "New connections per second that the broker, or a listener, accepts.";
    "max.connections" Int "2147483647" [0 ..] Medium ClusterWide Acts
        "Connections that the broker, or a listener, holds; more wait or displace idle ones.";
    "max.connections.per.ip" Int "2147483647" [0 ..] Medium ClusterWide Acts
        "Connections from one address.";
    "max.connections.per.ip.overrides" String "" [any] Medium ClusterWide Acts
        "`HOST:COUNT` each, for addresses with another limit.";
    "max.incremental.fetch.session.cache.slots" Int "1000" [0 ..] Medium ReadOnly Acts
        "Fetch sessions kept for clients that poll.";
    "max.request.partition.size.limit" Int "2000" [1 ..] Medium ReadOnly Acts
        "Most partitions in one answer of DescribeTopicPartitions.";
    "num.io.threads" Int "8" [1 ..] High ClusterWide None
        "Size of a thread pool that Monedula does not have: all requests share one runtime.";
    "num.network.threads" Int "3" [1 ..] High ClusterWide None
        "Size of a thread pool that Monedula does not have: all connections share one runtime.";
    "queued.max.request.bytes" Long "-1" [any] Medium ReadOnly Acts
        "Bytes of requests held in memory before connections stop being read; -1 leaves it to Monedula.";
    "queued.max.requests" Int "500" [1 ..] High ReadOnly None
        "Length of a queue between threads that Monedula does not have; bytes in flight are what counts.";
    "request.timeout.ms" Int "30000" [any] High ReadOnly Later
        "How long the broker waits for an answer from another node.";
    "socket.connection.setup.timeout.max.ms" Long "30000" [any] Medium ReadOnly Later
        "To how much that grows with every failed try.";
    "socket.connection.setup.timeout.ms" Long "10000" [any] Medium ReadOnly Acts
        "How long a connection to another node may take to come up at the first try.";
    "socket.listen.backlog.size" Int "50" [1 ..] Medium ReadOnly Acts
        "How many connections the system queues before they are accepted.";
    "socket.receive.buffer.bytes" Int "102400" [any] High ReadOnly Acts
        "Receive buffer of a connection; -1 leaves it to the system.";
    "socket.request.max.bytes" Int "104857600" [1 ..] High ReadOnly Acts
        "Largest request; a connection that announces more is closed.";
    "socket.send.buffer.bytes" Int "102400" [any] High ReadOnly Acts
        "Send buffer of a connection; -1 leaves it to the system.";
}
