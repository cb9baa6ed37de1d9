//! The control port: a command a line, an answer a line, `ok` or `error` and what there is to say.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::fault::Fault;
use crate::proxy::Proxy;

/// A connection that says more than this is not one of ours.
const COMMANDS_BYTES_MAX: u64 = 64 << 20;

/// Serves the control port, for ever.
pub async fn serve(listener: TcpListener, proxy: Arc<Proxy>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(stream, Arc::clone(&proxy)));
    }
}

async fn converse(mut stream: TcpStream, proxy: Arc<Proxy>) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read.take(COMMANDS_BYTES_MAX)).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match command(&proxy, &line).await {
            Ok(said) => format!("ok {said}\n"),
            Err(reason) => format!("error {reason}\n"),
        };
        write.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

async fn command(proxy: &Proxy, line: &str) -> Result<String, String> {
    let (verb, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    let faults = &proxy.faults;
    match verb {
        "link" => {
            let [name, listen, target] = rest.split(' ').collect::<Vec<_>>()[..] else {
                return Err("link NAME LISTEN TARGET".into());
            };
            let address =
                |text: &str| text.parse::<SocketAddr>().map_err(|error| format!("{text}: {error}"));
            let at = proxy.link(name, address(listen)?, address(target)?).await;
            at.map(|at| at.to_string()).map_err(|error| format!("{listen}: {error}"))
        }
        "fault" => {
            let (name, fault) =
                rest.split_once(' ').ok_or("fault NAME LINK KIND [KEY=VALUE]...")?;
            faults.set(name, fault.parse::<Fault>()?);
            Ok(String::new())
        }
        "hits" => counted(faults.hits(rest), rest),
        "end" => counted(faults.end(rest), rest),
        "end-all" => {
            faults.end_all();
            Ok(String::new())
        }
        "reset" => {
            proxy.reset(rest).map(|n| n.to_string()).ok_or_else(|| format!("no such link: {rest}"))
        }
        _ => Err(format!("no such command: {verb}")),
    }
}

fn counted(hits: Option<u64>, name: &str) -> Result<String, String> {
    hits.map(|n| n.to_string()).ok_or_else(|| format!("no such fault: {name}"))
}
