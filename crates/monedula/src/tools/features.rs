//! `features`: which feature levels nodes support and the cluster uses; raising, lowering, switching off.

use std::collections::BTreeMap;
use std::process::ExitCode;

use base::NodeId;
use broker::format::{FEATURES, Feature, MetadataVersion};
use client::Admin;
use client::admin::Upgrade;

use super::block_on;
use super::settings::{self, Bootstrap, bootstrap_flags};
use super::subcommands::{Flag, Parsed, Program, Stop, Subcommand, Together, flag, value};
use crate::format::features as table;

pub const ABOUT: &str = "This tool manages feature flags in Kafka.";

const SERVERS: [Flag; 2] = bootstrap_flags(Together::OneOf);
const METADATA: Flag = value("--metadata", "DEPRECATED -- The level of the metadata by its name.");
const RELEASE: Flag =
    value("--release-version", "The release whose levels all features shall have.");
const FEATURE: Flag = value("--feature", "A feature and its level: FEATURE=LEVEL.");
const UNSAFE: Flag = flag("--unsafe", "Go down even where metadata may be lost.");
const DRY_RUN: Flag = flag("--dry-run", "Validate, but do not perform it.");

const PROGRAM: Program = Program {
    name: "kafka-features",
    about: ABOUT,
    flags: &[
        SERVERS[0],
        SERVERS[1],
        value("--command-config", "Properties file with settings of the client."),
    ],
    commands: &[
        Subcommand {
            name: "describe",
            about: "Describes the current active feature flags.",
            flags: &[value("--node-id", "The node to ask. Any when missing.").number()],
        },
        Subcommand {
            name: "upgrade",
            about: "Upgrade one or more feature flags.",
            flags: &[METADATA, RELEASE, FEATURE, DRY_RUN],
        },
        Subcommand {
            name: "downgrade",
            about: "Downgrade one or more feature flags.",
            flags: &[METADATA, RELEASE, FEATURE, UNSAFE, DRY_RUN],
        },
        Subcommand {
            name: "disable",
            about: "Disable one or more feature flags: a downgrade to zero.",
            flags: &[value("--feature", "A feature to disable."), UNSAFE, DRY_RUN],
        },
        Subcommand {
            name: "version-mapping",
            about: "Look up the features of a release.",
            flags: &[value("--release-version", "The release; the latest stable one by default.")],
        },
        Subcommand {
            name: "feature-dependencies",
            about: "Look up what a level of a feature needs of other features.",
            flags: &[FEATURE.together(Together::Required)],
        },
    ],
};

pub fn run(words: &[String]) -> ExitCode {
    let parsed = match PROGRAM.parse(words) {
        Ok(parsed) => parsed,
        Err(Stop::Help(text) | Stop::Version(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(Stop::Bad { what, .. }) => return bad(&what),
    };
    let done = match parsed.command {
        "version-mapping" => table::version_mapping(parsed.value("--release-version")).map(show),
        "feature-dependencies" => dependencies(&parsed).map(show),
        _ => match Bootstrap::of(&parsed) {
            Some(bootstrap) => execute(&parsed, bootstrap),
            None => {
                return bad(
                    "You must specify either --bootstrap-controller or --bootstrap-server.",
                );
            }
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn bad(what: &str) -> ExitCode {
    eprint!("Command line error: {what}. Type --help for help.");
    ExitCode::FAILURE
}

fn show(text: String) {
    print!("{text}");
}

fn dependencies(parsed: &Parsed) -> Result<String, String> {
    let mut text = String::new();
    for wish in parsed.values("--feature") {
        let (name, level) = table::parse_level(wish)?;
        if Feature::by_name(&name).is_some_and(|feature| feature.level(level).is_none()) {
            return Err(format!("No feature:{name} with feature level {level}"));
        }
        text.push_str(&table::dependencies(&[format!("{name}={level}")])?);
    }
    Ok(text)
}

fn execute(parsed: &Parsed, bootstrap: Bootstrap<'_>) -> Result<(), String> {
    let settings = settings::from_file_if(parsed.value("--command-config"))?;
    block_on(async {
        let admin = bootstrap.admin(&settings, "adminclient-1")?;
        let down = if parsed.has("--unsafe") { Upgrade::UnsafeDown } else { Upgrade::SafeDown };
        match parsed.command {
            "describe" => describe(&admin, parsed.number("--node-id")).await,
            "upgrade" => update(&admin, parsed, Upgrade::Up, levels(parsed, Upgrade::Up)?).await,
            "downgrade" => update(&admin, parsed, down, levels(parsed, down)?).await,
            _ => update(&admin, parsed, down, disabled(parsed)?).await,
        }
    })?
}

async fn describe(admin: &Admin, node: Option<i32>) -> Result<(), String> {
    if let Some(id) = node.filter(|id| *id < 0) {
        return Err(format!("Invalid node id {id}: must be non-negative."));
    }
    let features = admin.describe_features(node.map(NodeId)).await.map_err(|e| e.to_string())?;
    let epoch = features.epoch.map_or_else(|| String::from("-"), |epoch| epoch.to_string());
    for (name, (min, max)) in &features.supported {
        let finalized = features.finalized.get(name).copied().unwrap_or(0);
        println!(
            "Feature: {name:<40}  SupportedMinVersion: {:<15}  SupportedMaxVersion: {:<15}  FinalizedVersionLevel: \
             {:<15}  Epoch: {epoch}",
            level_name(name, *min),
            level_name(name, *max),
            level_name(name, finalized),
        );
    }
    Ok(())
}

fn level_name(feature: &str, level: i16) -> String {
    if feature != MetadataVersion::FEATURE_NAME {
        return level.to_string();
    }
    match MetadataVersion::from_level(level) {
        Some(version) => version.name().to_owned(),
        None => format!("UNKNOWN {level}"),
    }
}

type Levels = BTreeMap<String, i16>;

/// What an upgrade or a downgrade asks for.
fn levels(parsed: &Parsed, upgrade: Upgrade) -> Result<Levels, String> {
    let (metadata, release) = (parsed.value("--metadata"), parsed.value("--release-version"));
    if release.is_some() && (metadata.is_some() || parsed.has("--feature")) {
        return Err(String::from("Can not specify `release-version` with other feature flags."));
    }
    let mut levels = Levels::new();
    if let Some(name) = release {
        let version = table::release(name, true)?;
        levels.insert(MetadataVersion::FEATURE_NAME.to_owned(), version.level());
        for feature in FEATURES {
            let level = feature.default_level(version);
            // Nothing is upgraded to 0.
            if level > 0 || upgrade != Upgrade::Up {
                levels.insert(feature.name.to_owned(), level);
            }
        }
    }
    if let Some(name) = metadata {
        println!(" `metadata` flag is deprecated and may be removed in a future release.");
        let version = table::release(name, true)?;
        levels.insert(MetadataVersion::FEATURE_NAME.to_owned(), version.level());
    }
    for wish in parsed.values("--feature") {
        let (name, level) = table::parse_level(wish)?;
        add(&mut levels, name, level)?;
    }
    Ok(levels)
}

fn disabled(parsed: &Parsed) -> Result<Levels, String> {
    let mut levels = Levels::new();
    for name in parsed.values("--feature") {
        add(&mut levels, name.to_owned(), 0)?;
    }
    Ok(levels)
}

fn add(levels: &mut Levels, name: String, level: i16) -> Result<(), String> {
    match levels.insert(name.clone(), level) {
        None => Ok(()),
        Some(_) => Err(format!("Feature {name} was specified more than once.")),
    }
}

async fn update(
    admin: &Admin,
    parsed: &Parsed,
    upgrade: Upgrade,
    levels: Levels,
) -> Result<(), String> {
    let operation = parsed.command;
    if levels.is_empty() {
        return Err(format!("You must specify at least one feature to {operation}"));
    }
    let dry_run = parsed.has("--dry-run");
    let answers = match admin.update_features(&levels, upgrade, dry_run).await {
        Ok(answers) => answers,
        Err(error) => levels.keys().map(|name| (name.clone(), Err(error.clone()))).collect(),
    };
    let mut failures = 0;
    for (name, answer) in answers {
        let level = levels.get(&name).copied().unwrap_or(0);
        match (answer, operation) {
            (Ok(()), "disable") => {
                println!("{name} {} disabled.", if dry_run { "can be" } else { "was" })
            }
            (Ok(()), _) => {
                let verb = if dry_run { "can be" } else { "was" };
                println!("{name} {verb} {operation}d to {level}.");
            }
            (Err(error), _) => {
                failures += 1;
                let helper = if dry_run { "Can not" } else { "Could not" };
                let to =
                    if operation == "disable" { String::new() } else { format!(" to {level}") };
                println!("{helper} {operation} {name}{to}. {error}");
            }
        }
    }
    match failures {
        0 => Ok(()),
        _ => Err(format!("{failures} out of {} operation(s) failed.", levels.len())),
    }
}
