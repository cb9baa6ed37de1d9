//! Properties that a tool is given: files and `key=value` arguments.

use std::collections::BTreeMap;

use client::{Admin, Client, ClientOptions};
use config::properties::Properties;

use super::subcommands::{Flag, Parsed, Together, value};

pub type Settings = BTreeMap<String, String>;

/// Whom a client asks first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bootstrap<'a> {
    Brokers(&'a str),
    Controllers(&'a str),
}

/// The two flags that name them.
pub const fn bootstrap_flags(together: Together) -> [Flag; 2] {
    [
        value("--bootstrap-server", "Brokers to connect to: HOST:PORT,...").together(together),
        value("--bootstrap-controller", "Controllers to connect to: HOST:PORT,...")
            .together(together),
    ]
}

impl<'a> Bootstrap<'a> {
    /// What a command line says by those flags.
    pub fn of(parsed: &'a Parsed) -> Option<Self> {
        let servers = parsed.value("--bootstrap-server").map(Self::Brokers);
        servers.or_else(|| parsed.value("--bootstrap-controller").map(Self::Controllers))
    }

    /// A client for administration; the error is what Kafka's tools say.
    pub fn admin(self, settings: &Settings, client_id: &str) -> Result<Admin, String> {
        let (servers, controllers) = match self {
            Self::Brokers(servers) => (servers, false),
            Self::Controllers(servers) => (servers, true),
        };
        let options = client_options(servers, settings, client_id);
        let client = options.and_then(|o| Client::new(ClientOptions { controllers, ..o }));
        client
            .map(Admin::new)
            .map_err(|error| format!("Failed to create new KafkaAdminClient\n{error}"))
    }
}

/// The properties of a file that may not be named.
pub fn from_file_if(path: Option<&str>) -> Result<Settings, String> {
    path.map_or_else(|| Ok(Settings::new()), from_file)
}

/// The properties of a file. A file that cannot be read is an error with its name.
pub fn from_file(path: &str) -> Result<Settings, String> {
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => path.to_owned(),
        _ => format!("{path}: {error}"),
    })?;
    let parsed = Properties::from_bytes(&bytes).map_err(|error| format!("{path}: {error}"))?;
    Ok(parsed.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// `key=value` arguments; without a value it is empty.
pub fn from_args<'a>(args: impl Iterator<Item = &'a str>) -> Settings {
    let pair = |arg: &'a str| arg.split_once('=').unwrap_or((arg, ""));
    args.map(pair).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A client for administration, with the settings that concern it; others are ignored, as in Kafka.
pub fn admin_client(
    servers: &str,
    settings: &Settings,
    client_id: &str,
) -> Result<Client, client::Error> {
    Client::new(client_options(servers, settings, client_id)?)
}

/// The settings of connections, and the server of the command line before that of the file.
pub fn client_options(
    servers: &str,
    settings: &Settings,
    client_id: &str,
) -> Result<ClientOptions, client::Error> {
    let mut options = ClientOptions { client_id: client_id.to_owned(), ..Default::default() };
    let own = |key: &str| !matches!(key, "bootstrap.servers" | "bootstrap.controllers");
    for (key, value) in settings.iter().filter(|(key, _)| own(key)) {
        options.set(key, value)?;
    }
    options.bootstrap_servers = ClientOptions::bootstrap(servers)?;
    Ok(options)
}

/// Kafka's first look at a list of servers: every one has a port.
pub fn check_servers(servers: &str) -> Result<(), String> {
    if servers.is_empty() {
        return Err(String::from("Error while validating the bootstrap address\n"));
    }
    let valid = servers.split(',').all(|server| client::Address::parse(server.trim()).is_some());
    if valid {
        Ok(())
    } else {
        Err(String::from("Please provide valid host:port like host1:9091,host2:9092\n "))
    }
}
