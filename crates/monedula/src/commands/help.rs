//! The text of `monedula --help`.

use crate::tools;

/// All commands with a line each.
pub fn text() -> String {
    let mut text = String::from(
        "Monedula: Apache Kafka in one binary.\n\n\
         Usage: monedula COMMAND [ARGUMENTS]\n\n\
         Commands:\n\
         \x20 start [SERVER_PROPERTIES] [--set KEY=VALUE]...   run a node\n\
         \x20 format                                           prepare log directories, as kafka-storage format\n\
         \x20 storage                                          all of kafka-storage: info, format, random-uuid, ...\n\
         \x20 verify DIRECTORY...                              look through data directories for damage; changes nothing\n\n\
         Tools, with the arguments and the output of Apache Kafka's of the same name:\n",
    );
    for (name, about) in tools::list() {
        text.push_str(&format!("  {name:<18} {about}\n"));
    }
    text.push_str("\nEvery tool explains its arguments with --help. Installed as kafka-TOOL.sh the binary is that tool.\n");
    text
}
