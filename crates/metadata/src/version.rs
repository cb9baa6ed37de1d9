//! `metadata.version`: its levels, names, and what each allows in the log.

use std::fmt;

/// A level of the feature `metadata.version`; only levels that Kafka 4.4 knows can be built.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetadataVersion(i16);

struct Row {
    level: i16,
    name: &'static str,
    /// Whether the format of the metadata log differs from the level before.
    changes_records: bool,
}

const fn row(level: i16, name: &'static str, changes_records: bool) -> Row {
    Row { level, name, changes_records }
}

/// Every level Kafka 4.4 knows, ascending without a gap.
const ROWS: &[Row] = &[
    row(7, "3.3-IV3", true),
    row(8, "3.4-IV0", true),
    row(9, "3.5-IV0", false),
    row(10, "3.5-IV1", false),
    row(11, "3.5-IV2", true),
    row(12, "3.6-IV0", false),
    row(13, "3.6-IV1", true),
    row(14, "3.6-IV2", true),
    row(15, "3.7-IV0", true),
    row(16, "3.7-IV1", false),
    row(17, "3.7-IV2", true),
    row(18, "3.7-IV3", false),
    row(19, "3.7-IV4", false),
    row(20, "3.8-IV0", false),
    row(21, "3.9-IV0", false),
    row(22, "4.0-IV0", false),
    row(23, "4.0-IV1", true),
    row(24, "4.0-IV2", false),
    row(25, "4.0-IV3", false),
    row(26, "4.1-IV0", false),
    row(27, "4.1-IV1", false),
    row(28, "4.2-IV0", false),
    row(29, "4.2-IV1", false),
    row(30, "4.3-IV0", true),
    row(31, "4.4-IV0", false),
    row(32, "4.4-IV1", true),
    row(33, "4.4-IV2", true),
    row(34, "4.5-IV0", false),
];

impl MetadataVersion {
    pub const FEATURE_NAME: &'static str = "metadata.version";
    /// The oldest level that Kafka 4.4 reads: 3.3-IV3.
    pub const MINIMUM: Self = Self(7);
    /// The level a new cluster of Kafka 4.4 finalises: 4.4-IV2.
    pub const LATEST_PRODUCTION: Self = Self(33);
    /// The highest level Kafka 4.4 knows, allowed with `unstable.feature.versions.enable`: 4.5-IV0.
    pub const LATEST_TESTING: Self = Self(34);

    /// `None` for a level that Kafka 4.4 does not know.
    pub const fn from_level(level: i16) -> Option<Self> {
        if level >= Self::MINIMUM.0 && level <= Self::LATEST_TESTING.0 {
            Some(Self(level))
        } else {
            None
        }
    }

    /// By full name (`4.4-IV2`) or by release (`4.4`: its highest level).
    pub fn from_name(name: &str) -> Option<Self> {
        let of_release = |row: &&Row| row.name == name || row.name.split('-').next() == Some(name);
        ROWS.iter().rev().find(of_release).map(|row| Self(row.level))
    }

    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        ROWS.iter().map(|row| Self(row.level))
    }

    pub const fn level(self) -> i16 {
        self.0
    }

    /// Such as `4.4-IV2`.
    pub fn name(self) -> &'static str {
        self.row().map_or("unknown", |row| row.name)
    }

    /// Such as `4.4`.
    pub fn release(self) -> &'static str {
        self.name().split('-').next().unwrap_or_default()
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.level == self.0)
    }

    pub const fn is_production(self) -> bool {
        self.0 <= Self::LATEST_PRODUCTION.0
    }

    /// Whether moving between the two levels changes what the metadata log can hold, so that going down loses data.
    pub fn metadata_changed_between(self, other: Self) -> bool {
        let (low, high) = if self < other { (self, other) } else { (other, self) };
        ROWS.iter().any(|row| row.level > low.0 && row.level <= high.0 && row.changes_records)
    }

    pub const fn supports_migration(self) -> bool {
        self.0 >= 8
    }

    pub const fn supports_scram(self) -> bool {
        self.0 >= 11
    }

    /// Below 3.6-IV0 a leader epoch had to be bumped when the in-sync set shrank.
    pub const fn bumps_leader_epoch_on_isr_shrink(self) -> bool {
        self.0 < 12
    }

    pub const fn supports_transactions(self) -> bool {
        self.0 >= 13
    }

    pub const fn supports_delegation_tokens(self) -> bool {
        self.0 >= 14
    }

    pub const fn supports_controller_registration(self) -> bool {
        self.0 >= 15
    }

    pub const fn supports_directory_assignment(self) -> bool {
        self.0 >= 17
    }

    pub const fn supports_elr(self) -> bool {
        self.0 >= 23
    }

    pub const fn supports_cordoned_log_dirs(self) -> bool {
        self.0 >= 30
    }

    pub const fn supports_cidr_acls(self) -> bool {
        self.0 >= 32
    }

    pub const fn supports_controller_unregistration(self) -> bool {
        self.0 >= 33
    }

    /// Version of `RegisterBrokerRecord` to write.
    pub const fn register_broker_record_version(self) -> i16 {
        if self.supports_cordoned_log_dirs() {
            4
        } else if self.supports_directory_assignment() {
            3
        } else if self.supports_migration() {
            2
        } else {
            1
        }
    }

    /// Version of `PartitionRecord` and of `PartitionChangeRecord` to write.
    pub const fn partition_record_version(self) -> i16 {
        if self.supports_elr() {
            2
        } else if self.supports_directory_assignment() {
            1
        } else {
            0
        }
    }

    /// Version of Fetch between brokers.
    pub const fn fetch_request_version(self) -> i16 {
        match self.0 {
            ..=8 => 13,
            9 => 14,
            10..=18 => 15,
            19..=20 => 16,
            21..=26 => 17,
            _ => 18,
        }
    }

    /// Version of ListOffsets between brokers.
    pub const fn list_offsets_request_version(self) -> i16 {
        match self.0 {
            ..=8 => 7,
            9..=20 => 8,
            21..=24 => 9,
            25..=28 => 10,
            _ => 11,
        }
    }
}

impl fmt::Display for MetadataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for MetadataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
