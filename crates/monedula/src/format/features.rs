//! `kafka-storage version-mapping` and `feature-dependencies`: the table of features, printed.

use broker::format::{FEATURES, Feature, MetadataVersion};

/// The level of a release: its full name, or its number for the highest level of a release that is out.
pub fn release(name: &str, unstable: bool) -> Result<MetadataVersion, String> {
    let known = MetadataVersion::from_name(name);
    let known =
        known.filter(|version| version.is_production() || (unstable && version.name() == name));
    known.ok_or_else(|| {
        let all = MetadataVersion::all().filter(|version| unstable || version.is_production());
        let all: Vec<&str> = all.map(MetadataVersion::name).collect();
        format!(
            "Unknown metadata.version '{name}'. Supported metadata.version are: {}",
            all.join(", ")
        )
    })
}

/// The levels that a cluster of a release starts with, a line each.
pub fn version_mapping(name: Option<&str>) -> Result<String, String> {
    let (version, shown) = match name {
        // Kafka looks among unstable levels too.
        Some(name) => (release(name, true)?, name),
        None => (MetadataVersion::LATEST_PRODUCTION, MetadataVersion::LATEST_PRODUCTION.name()),
    };
    let mut text = format!("metadata.version={} ({shown})\n", version.level());
    for feature in FEATURES {
        text.push_str(&format!("{}={}\n", feature.name, feature.default_level(version)));
    }
    Ok(text)
}

/// A `FEATURE=LEVEL`.
pub fn parse_level(text: &str) -> Result<(String, i16), String> {
    let problem = |what: &str| format!("Can't parse feature=level string {text}: {what}");
    let (name, level) = text.split_once('=').ok_or_else(|| problem("equals sign not found."))?;
    let level = level.trim();
    let parsed =
        level.parse().map_err(|_| problem(&format!("unable to parse {level} as a short.")))?;
    Ok((name.trim().to_owned(), parsed))
}

/// What each `FEATURE=LEVEL` needs.
pub fn dependencies(features: &[String]) -> Result<String, String> {
    let mut text = String::new();
    for wish in features {
        let (name, level) = wish.split_once('=').ok_or_else(|| {
            format!(
                "Invalid feature format: {wish}. Expected format: 'feature=version' (e.g. \
                 'group.version=1')"
            )
        })?;
        let level: i16 = level
            .trim()
            .parse()
            .map_err(|_| format!("Invalid version format: {level} for feature {name}"))?;
        if name == MetadataVersion::FEATURE_NAME {
            let version = MetadataVersion::from_level(level)
                .ok_or_else(|| format!("Unknown metadata.version {level}"))?;
            let shown = version.name();
            text.push_str(&format!("{name}={level} ({shown}) has no dependencies.\n"));
            continue;
        }
        let feature = Feature::by_name(name).ok_or_else(|| format!("Unknown feature: {name}"))?;
        let known = feature
            .level(level)
            .ok_or_else(|| format!("Feature level {level} is not supported for feature {name}"))?;
        if known.dependencies.is_empty() {
            text.push_str(&format!("{name}={level} has no dependencies.\n"));
            continue;
        }
        text.push_str(&format!("{name}={level} requires:\n"));
        for (other, needed) in known.dependencies {
            let version = MetadataVersion::from_level(*needed);
            let version = version.filter(|_| *other == MetadataVersion::FEATURE_NAME);
            let shown = version.map(|version| format!(" ({})", version.name())).unwrap_or_default();
            text.push_str(&format!("    {other}={needed}{shown}\n"));
        }
    }
    Ok(text)
}
