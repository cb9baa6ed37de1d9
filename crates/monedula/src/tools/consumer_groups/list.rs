//! `consumer-groups --list`.

use client::Admin;
use client::admin::GroupListing;

use super::Failure;
use crate::tools::args::Args;

/// The states of consumer groups, as Kafka names them.
const STATES: [&str; 7] = [
    "PreparingRebalance",
    "CompletingRebalance",
    "Stable",
    "Dead",
    "Empty",
    "Assigning",
    "Reconciling",
];
const TYPES: [&str; 2] = ["Classic", "Consumer"];

/// The ids of all consumer groups of both protocols, sorted.
pub async fn ids(admin: &Admin) -> Result<Vec<String>, Failure> {
    Ok(listed(admin, &[], &TYPES).await?.into_iter().map(|group| group.id).collect())
}

/// Groups of consumers only: not those of Connect, and the like.
async fn listed(
    admin: &Admin,
    states: &[&str],
    types: &[&str],
) -> Result<Vec<GroupListing>, Failure> {
    let mut groups = admin.list_groups(states, types).await?;
    groups.retain(|group| matches!(group.protocol_type.as_str(), "" | "consumer"));
    Ok(groups)
}

pub async fn list(admin: &Admin, args: &Args) -> Result<(), Failure> {
    let (with_type, with_state) = (args.has("type"), args.has("state"));
    if !with_type && !with_state {
        for id in ids(admin).await? {
            println!("{id}");
        }
        return Ok(());
    }
    let types = choice(args.value("type")?, &TYPES, "types").map_err(Failure::Usage)?;
    let states = choice(args.value("state")?, &STATES, "state").map_err(Failure::Usage)?;
    let types = if types.is_empty() { TYPES.to_vec() } else { types };
    let groups = listed(admin, &states, &types).await?;
    let width = groups.iter().map(|group| group.id.chars().count()).max().unwrap_or(0).max(15) + 10;
    let line = |id: &str, group_type: &str, state: &str| {
        let mut line = format!("{id:<width$}");
        if with_type {
            line.push_str(&format!(" {group_type:<20}"));
        }
        if with_state {
            line.push_str(&format!(" {state:<20}"));
        }
        println!("{line}");
    };
    line("GROUP", "TYPE", "STATE");
    let or_unknown = |text: &str, known: &[&'static str]| {
        known.iter().find(|name| name.eq_ignore_ascii_case(text)).copied().unwrap_or("Unknown")
    };
    for group in &groups {
        let group_type = or_unknown(&group.group_type, &TYPES);
        line(&group.id, group_type, or_unknown(&group.state, &STATES));
    }
    Ok(())
}

/// The names in a comma-separated list, in Kafka's spelling; none for all.
fn choice(
    text: Option<&str>,
    known: &[&'static str],
    what: &str,
) -> Result<Vec<&'static str>, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    let find = |word: &str| known.iter().find(|name| name.eq_ignore_ascii_case(word.trim()));
    let found: Option<Vec<&'static str>> =
        text.split(',').map(|word| find(word).copied()).collect();
    found.ok_or_else(|| {
        let valid = known.join(", ");
        let kind = if what == "state" { "states" } else { what };
        format!("Invalid {what} list '{text}'. Valid {kind} are: {valid}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_in_any_spelling() {
        assert_eq!(choice(None, &STATES, "state"), Ok(vec![]));
        assert_eq!(choice(Some("stable, EMPTY"), &STATES, "state"), Ok(vec!["Stable", "Empty"]));
        assert_eq!(
            choice(Some("new"), &TYPES, "types"),
            Err(String::from("Invalid types list 'new'. Valid types are: Classic, Consumer"))
        );
    }
}
