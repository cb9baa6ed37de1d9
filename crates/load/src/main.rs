//! Loads coordinators: members of both protocols, offset commits, many groups; transactions; producers. Kafka's or ours, by address.
//!
//! Development only, a part of `bench/run --groups`, `--transactions` and `--durable`. Must not know: the server's inside. Commands come on standard input, a line
//! each; each is answered by one line, `ok` or `error` with what was found, so that who gives them can look at the server between.

mod board;
mod classic;
mod commits;
mod consumer;
mod many;
mod produce;
mod setup;
mod squad;
mod subscription;
mod transactions;

use std::process::ExitCode;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, BufReader};

use setup::{Failure, Setup};
use squad::Squad;

const USAGE: &str = "\
usage: monedula-load HOST:PORT [KEY=VALUE]...

keys: protocol (classic, consumer), group, topic, session-timeout-ms, heartbeat-ms (both of classic members), limit-ms

commands on standard input:
  topic PARTITIONS     make the topic, wait until it has leaders and the group has a coordinator
  connect COUNT        open so many connections, one for each member to come
  join                 all connected ones join; until every member holds its final assignment
  leave COUNT          so many members leave; until the others are stable
  kill COUNT           so many members vanish without a word; until the others are stable
  hold SECONDS         keep the members' heartbeats going
  commits REQUESTS GROUPS PARTITIONS CONNECTIONS DEPTH
  transactions COUNT IDS RECORDS SPREAD BYTES     COUNT for each of so many transactional ids
  produce SECONDS PRODUCERS BYTES               idempotent producers with a connection each
  read ISOLATION TIMES            the whole topic; read_committed or read_uncommitted
  make KIND GROUPS PARTITIONS     KIND: simple, classic, consumer; offsets for so many partitions each
  await GROUPS PARTITIONS         until the server answers for all of them (it may be down at first), then check all
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let setup = match Setup::parse(&args) {
        Ok(setup) => setup,
        Err(reason) => {
            eprintln!("{reason}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(serve(setup))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(setup: Setup) -> Result<(), Failure> {
    let setup = Arc::new(setup);
    let mut squad = Squad::new(Arc::clone(&setup));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        match obey(&setup, &mut squad, &words).await {
            Ok(found) => println!("ok {found}"),
            Err(failure) => println!("error {failure}"),
        }
    }
    Ok(())
}

async fn obey(setup: &Arc<Setup>, squad: &mut Squad, words: &[&str]) -> Result<String, Failure> {
    match words {
        ["topic", partitions] => setup.make_topic(partitions.parse()?).await,
        ["connect", count] => squad.connect(count.parse()?).await,
        ["join"] => squad.join().await,
        ["leave", count] => squad.leave(count.parse()?).await,
        ["kill", count] => squad.kill(count.parse()?).await,
        ["hold", seconds] => squad.hold(seconds.parse()?).await,
        ["commits", requests, groups, partitions, connections, depth] => {
            let plan = commits::Plan {
                requests: requests.parse()?,
                groups: groups.parse()?,
                partitions: partitions.parse()?,
                connections: connections.parse()?,
                depth: depth.parse()?,
            };
            commits::run(setup, plan).await
        }
        ["transactions", transactions, ids, records, spread, size] => {
            let plan = transactions::Plan {
                transactions: transactions.parse()?,
                ids: ids.parse()?,
                records: records.parse()?,
                spread: spread.parse()?,
                size: size.parse()?,
            };
            transactions::run(setup, plan).await
        }
        ["produce", seconds, producers, size] => {
            let plan = produce::Plan {
                seconds: seconds.parse()?,
                producers: producers.parse()?,
                size: size.parse()?,
            };
            produce::run(setup, plan).await
        }
        ["read", isolation, times] => {
            transactions::read(setup, *isolation == "read_committed", times.parse()?).await
        }
        ["make", kind, groups, partitions] => {
            many::make(setup, kind.parse()?, groups.parse()?, partitions.parse()?).await
        }
        ["await", groups, partitions] => {
            many::until_served(setup, groups.parse()?, partitions.parse()?).await
        }
        _ => Err(format!("no such command: {}", words.join(" ")).into()),
    }
}
