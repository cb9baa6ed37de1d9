//! `monedula start [SERVER_PROPERTIES] [--set KEY=VALUE]...`: runs a node in the foreground.
//!
//! One line on standard output says that clients can connect; logs go to standard error. A configuration error exits with 2 before any
//! data is touched, a failure to start with 1, SIGTERM and SIGINT stop cleanly with 0.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use config::BrokerConfig;
use config::key::Effect;
use config::properties::Properties;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

const USAGE: &str = "\
usage: monedula start [SERVER_PROPERTIES] [--set KEY=VALUE]...

Runs a node in the foreground. Without a file: node 1, broker and controller, on 127.0.0.1:9092, data in
./monedula-data. An unformatted directory is formatted on the way.

  --set KEY=VALUE, --override KEY=VALUE   sets a configuration key over the file's
  -h, --help                              prints this

Environment: MONEDULA_LOG sets what is logged, for example `info` (the default), `debug`, `broker=debug,warn`.";

/// A node that is asked to stop while it starts: one that is about to come up gets this time, so that it stops cleanly; one that
/// waits for others would wait for ever.
const START_GRACE: Duration = Duration::from_secs(5);

/// What stands on the command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    file: Option<String>,
    set: Vec<(String, String)>,
    help: bool,
}

pub fn run(arguments: &[String], began: Instant) -> ExitCode {
    let arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(reason) => {
            complain(format_args!("monedula start: {reason}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    if arguments.help {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let config = match load(&arguments) {
        Ok(config) => config,
        Err(reason) => {
            complain(format_args!("monedula start: {reason}"));
            return ExitCode::from(2);
        }
    };
    log_to_stderr();
    tell_of_keys(&config);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    crate::memory::bound_arenas(cores);
    // One more: with all cores in disk operations there is a thread that serves.
    let runtime = builder.worker_threads(cores.saturating_add(1)).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("monedula start: cannot start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(serve(config, began))
}

fn parse(arguments: &[String]) -> Result<Arguments, String> {
    let mut parsed = Arguments::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (flag, inline) = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (argument.as_str(), None),
        };
        match flag {
            "-h" | "--help" => parsed.help = true,
            "--set" | "--override" => {
                let pair = inline.or_else(|| rest.next().cloned());
                let pair = pair.ok_or_else(|| format!("{flag} needs KEY=VALUE"))?;
                let (key, value) = pair
                    .split_once('=')
                    .ok_or_else(|| format!("{flag} {pair}: expected KEY=VALUE"))?;
                parsed.set.push((key.trim().to_owned(), value.trim().to_owned()));
            }
            _ if argument.starts_with('-') => return Err(format!("unknown option {argument}")),
            _ if parsed.file.is_some() => {
                return Err(format!("one file only, not also {argument}"));
            }
            _ => parsed.file = Some(argument.clone()),
        }
    }
    Ok(parsed)
}

fn load(arguments: &Arguments) -> Result<BrokerConfig, String> {
    let file = match &arguments.file {
        None => None,
        Some(path) => {
            let bytes = std::fs::read(path).map_err(|e| format!("cannot read {path}: {e}"))?;
            let parsed = Properties::from_bytes(&bytes).map_err(|e| format!("{path}: {e}"))?;
            Some(parsed)
        }
    };
    BrokerConfig::load(file.as_ref(), &arguments.set).map_err(|error| {
        let source = arguments.file.as_deref().unwrap_or("the command line");
        // Kafka's words do not always name the key; ours do.
        let text = error.to_string();
        let key = match error.key.as_str() {
            "" => String::new(),
            key if text.contains(key) => String::new(),
            key => format!("{key}: "),
        };
        format!("configuration error in {source}: {key}{text}")
    })
}

fn log_to_stderr() {
    let filter = std::env::var("MONEDULA_LOG").unwrap_or_else(|_| "info".into());
    let filter = EnvFilter::builder().parse_lossy(filter);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .init();
}

/// To standard error. It may be a file on the very disk that is full: that must not end the process with a panic.
fn complain(message: std::fmt::Arguments<'_>) {
    let _unwritten = writeln!(std::io::stderr(), "{message}");
}

fn tell_of_keys(config: &BrokerConfig) {
    for key in config.unknown_keys() {
        tracing::warn!(key, "unknown configuration key");
    }
    for (key, effect) in config.keys_without_effect() {
        match effect {
            Effect::Later => {
                tracing::warn!(key, "configured, but what it belongs to is not built yet")
            }
            _ => tracing::info!(key, "configured; accepted without effect here"),
        }
    }
}

async fn serve(config: BrokerConfig, began: Instant) -> ExitCode {
    // Signals count from the very start: one that comes while the node starts stops it as soon as it is up.
    let (mut terminate, mut interrupt) =
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => {
                complain(format_args!("monedula start: cannot listen to signals: {error}"));
                return ExitCode::FAILURE;
            }
        };
    let starting = broker::start(config);
    tokio::pin!(starting);
    let started = tokio::select! {
        started = &mut starting => started,
        () = either(&mut terminate, &mut interrupt) => {
            return match tokio::time::timeout(START_GRACE, starting).await {
                Ok(Ok(node)) => {
                    node.stop().await;
                    ExitCode::SUCCESS
                }
                Ok(Err(error)) => refused(&error),
                Err(_) => {
                    tracing::info!("stopped while starting");
                    ExitCode::SUCCESS
                }
            };
        }
    };
    let node = match started {
        Ok(node) => node,
        Err(error) => return refused(&error),
    };
    let listeners: Vec<String> =
        node.listeners().iter().map(|(name, address)| format!("{name}://{address}")).collect();
    let ready = format!(
        "monedula ready node.id={} cluster.id={} listeners={} ms={}",
        node.id(),
        node.cluster_id(),
        listeners.join(","),
        began.elapsed().as_millis()
    );
    // Nobody may be reading: that is no reason to stop.
    let _unread = writeln!(std::io::stdout(), "{ready}");
    let failed = tokio::select! {
        () = either(&mut terminate, &mut interrupt) => None,
        reason = node.failed() => Some(reason),
    };
    match failed {
        None => {
            tracing::info!("stopping");
            node.stop().await;
            ExitCode::SUCCESS
        }
        Some(reason) => {
            tracing::error!("the node cannot go on: {reason}");
            node.stop().await;
            ExitCode::FAILURE
        }
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn refused(error: &broker::StartError) -> ExitCode {
    complain(format_args!("monedula start: {}", with_sources(error)));
    ExitCode::from(if error.is_configuration() { 2 } else { 1 })
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<(Option<&str>, &[(&str, &str)]), &str>) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let parsed = parse(&words);
        let shown = parsed.as_ref().map_err(String::as_str).map(|parsed| {
            let set: Vec<_> = parsed.set.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            (parsed.file.as_deref(), set)
        });
        assert_eq!(shown, expected.map(|(file, set)| (file, set.to_vec())), "{line}");
    }

    #[test]
    fn command_lines() {
        check("", Ok((None, &[])));
        check("server.properties", Ok((Some("server.properties"), &[])));
        check("--set a=b x --set c=d=e", Ok((Some("x"), &[("a", "b"), ("c", "d=e")])));
        check("--override=a=b", Ok((None, &[("a", "b")])));
        check("--set a", Err("--set a: expected KEY=VALUE"));
        check("--set", Err("--set needs KEY=VALUE"));
        check("x y", Err("one file only, not also y"));
        check("-x", Err("unknown option -x"));
    }
}
