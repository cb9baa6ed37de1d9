//! Generates the codecs from `schemas/`: one file per message in `OUT_DIR`, and the tables of APIs and errors.

mod codec;
mod defaults;
mod emit;
mod names;
mod schema;
mod tables;

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use schema::Message;

/// Where messages of the schema texts end up.
const AREAS: [(&str, &[&str]); 4] = [
    (
        "messages",
        &[
            "produce_fetch",
            "groups",
            "share_groups",
            "streams_groups",
            "transactions",
            "topics_admin",
            "security",
            "cluster",
            "headers_and_data",
        ],
    ),
    ("metadata_records", &["metadata_records"]),
    ("coordinator_records", &["coordinator_records"]),
    ("storage_records", &["storage_records"]),
];

fn main() {
    println!("cargo::rerun-if-changed=schemas");
    println!("cargo::rerun-if-changed=build");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    let read = |name: &str| {
        let path = format!("schemas/{name}.txt");
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
    };
    let mut everything = Vec::new();
    for (area, texts) in AREAS {
        let messages: Vec<Message> = texts.iter().flat_map(|t| schema::parse(&read(t))).collect();
        write_area(out, area, &messages);
        everything.extend(messages.into_iter().map(|m| (area, m)));
    }
    let tables = tables::emit(&read("apis"), &read("errors"), &everything);
    write(&out.join("tables.rs"), &tables);
    let records = everything.iter().filter(|(area, _)| *area == "metadata_records").map(|(_, m)| m);
    write(&out.join("metadata_record.rs"), &tables::emit_metadata_record(records));
}

fn write_area(out: &Path, area: &str, messages: &[Message]) {
    fs::create_dir_all(out.join(area)).expect("OUT_DIR is writable");
    let mut index = String::new();
    for m in messages {
        let module = names::snake(&m.name);
        write(&out.join(area).join(format!("{module}.rs")), &emit::emit(m));
        let _ = writeln!(
            index,
            "#[allow(unused, clippy::all)]\npub mod {module} {{ include!(concat!(env!(\"OUT_DIR\"), \"/{area}/{module}.rs\")); }}"
        );
    }
    write(&out.join(format!("{area}.rs")), &index);
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
