//! The house rules as data, held by `tests/tidy.rs`: who may depend on whom, how long files may be, what must not appear.
//!
//! Development only. Must not know: any crate of the product (it reads their text).

/// Crate, what it may depend on (of ours), and why the edge matters is in ARCHITECTURE.md. Any other edge fails the test; a
/// change here is a decision record.
pub const EDGES: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("config", &["base"]),
    ("protocol", &["base", "protocol-gen"]),
    ("protocol-gen", &[]),
    ("records", &["base", "protocol"]),
    ("kraft", &["base", "protocol"]),
    ("metadata", &["base", "protocol"]),
    ("controller", &["base", "config", "protocol", "metadata"]),
    ("replication", &["base", "protocol"]),
    ("coordinator", &["base", "protocol", "records"]),
    ("group", &["base", "coordinator", "protocol"]),
    ("transaction", &["base", "coordinator", "protocol"]),
    ("storage", &["base", "protocol", "records"]),
    ("net", &["base", "protocol"]),
    (
        "broker",
        &[
            "base",
            "config",
            "protocol",
            "records",
            "kraft",
            "metadata",
            "controller",
            "replication",
            "coordinator",
            "group",
            "transaction",
            "storage",
            "net",
        ],
    ),
    ("client", &["base", "protocol", "records", "net"]),
    // A driver for measurements, no part of the product; of `group` only the hash that places groups.
    ("load", &["base", "client", "group", "protocol"]),
    // Of `group` only the patterns of topics, which a tool checks without a broker.
    (
        "monedula",
        &["base", "config", "protocol", "records", "storage", "broker", "client", "group"],
    ),
    // Made-up worlds around pure machines, no part of the product; of `client` only what members tell each other.
    (
        "sim",
        &[
            "base",
            "client",
            "config",
            "controller",
            "coordinator",
            "group",
            "kraft",
            "metadata",
            "protocol",
            "records",
            "replication",
            "storage",
            "transaction",
        ],
    ),
    // Disks for failure tests, no part of the product.
    ("simdisk", &["base", "storage"]),
    // A proxy for failure tests, no part of the product; of `protocol` only the names of the APIs.
    ("faults", &["protocol"]),
    ("tidy", &[]),
];

/// Crates that decide without doing: no I/O, clocks, randomness, threads or async.
pub const PURE: &[&str] = &[
    "base",
    "config",
    "protocol",
    "records",
    "kraft",
    "metadata",
    "controller",
    "replication",
    "coordinator",
    "group",
    "transaction",
];

/// What the pure crates must not name.
pub const IMPURE_WORDS: &[&str] = &[
    "std::fs",
    // Addresses are values and may be parsed; sockets may not be touched.
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::thread",
    "tokio",
    "Instant::now",
    "SystemTime",
    "getrandom",
    "async fn",
    "std::env",
];

/// No source file may have more lines.
pub const FILE_LINES_MAX: usize = 800;

/// How many source files may have more than [`FILE_LINES_WANTED`] lines: a ratchet, the number may only fall.
pub const LONG_FILES_MAX: usize = 12;
pub const FILE_LINES_WANTED: usize = 400;

/// Not in any source file.
pub const BANNED: &[&str] = &["todo!(", "unimplemented!(", "FIXME", "XXX", "dbg!("];
