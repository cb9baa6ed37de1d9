//! The fault proxy as a program: `monedula-faults HOST:PORT` listens there for commands.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;

const USAGE: &str = "\
usage: monedula-faults HOST:PORT

Listens there for commands, a line each; each is answered by one line, ok or error.
  link NAME LISTEN TARGET                 a link: listens at HOST:PORT (port 0: any), connects to HOST:PORT
  fault NAME LINK KIND [KEY=VALUE]...     puts a fault on a link (*: on all), instead of the one of that name
  hits NAME                               how often it bit
  end NAME | end-all                      ends it
  reset LINK                              resets the link's connections

kinds of a link    latency ms= | rate bytes= (a second) | slice bytes= [ms=] | drop | refuse
kinds of frames    hold | delay ms= | repeat [times=] [ms=: later, on a connection of its own] | lose [then=go-on] | reset
keys of all        way=request|response|both (default: both, of frames request)
keys of frames     api=NAME or number, client=ID, skip=N (leave so many alone), count=N (hit so many)
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address] = &args[..] else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("{}", listener.local_addr()?);
        faults::serve(listener, Arc::default()).await
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{address}: {error}");
            ExitCode::FAILURE
        }
    }
}
