//! How `console-consumer` prints a record.

use std::io::{self, Write};

use client::consumer::ConsumerRecord;

use super::settings::Settings;

/// One of Kafka's formatters, by the name of its class.
#[derive(Debug)]
pub enum Formatter {
    Default(Box<DefaultFormatter>),
    /// Prints nothing.
    Nothing,
}

impl Formatter {
    pub fn new(class: &str, settings: &Settings) -> Result<Self, String> {
        let name = class.rsplit('.').next().unwrap_or_default();
        let known = class.starts_with("org.apache.kafka.tools.consumer.")
            || class.starts_with("kafka.tools.");
        match name {
            // The logging one prints as the default and repeats everything in the log at level INFO, which is off.
            "DefaultMessageFormatter" | "LoggingMessageFormatter" if known => {
                Ok(Self::Default(Box::new(DefaultFormatter::new(settings)?)))
            }
            "NoOpMessageFormatter" if known => Ok(Self::Nothing),
            _ => Err(class.to_owned()),
        }
    }

    pub fn write(&self, record: &ConsumerRecord, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Default(formatter) => formatter.write(record, out),
            Self::Nothing => Ok(()),
        }
    }
}

/// How bytes become text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deserializer {
    /// As they are.
    Bytes,
    Text,
    Short,
    Integer,
    Long,
    Uuid,
}

impl Deserializer {
    fn new(class: &str) -> Result<Self, String> {
        let name = class.strip_prefix("org.apache.kafka.common.serialization.");
        Ok(match name {
            Some("ByteArrayDeserializer" | "BytesDeserializer" | "ByteBufferDeserializer") => {
                Self::Bytes
            }
            Some("StringDeserializer") => Self::Text,
            Some("ShortDeserializer") => Self::Short,
            Some("IntegerDeserializer") => Self::Integer,
            Some("LongDeserializer") => Self::Long,
            Some("UUIDDeserializer") => Self::Uuid,
            _ => {
                return Err(format!(
                    "Unable to instantiate a deserializer from {class}: it is not built in"
                ));
            }
        })
    }

    fn write(self, bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
        fn whole<const N: usize>(bytes: &[u8]) -> io::Result<[u8; N]> {
            let wrong = || format!("Size of data received by the deserializer is not {N}");
            bytes.try_into().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, wrong()))
        }
        match self {
            Self::Bytes => out.write_all(bytes),
            Self::Text => out.write_all(String::from_utf8_lossy(bytes).as_bytes()),
            Self::Short => write!(out, "{}", i16::from_be_bytes(whole(bytes)?)),
            Self::Integer => write!(out, "{}", i32::from_be_bytes(whole(bytes)?)),
            Self::Long => write!(out, "{}", i64::from_be_bytes(whole(bytes)?)),
            Self::Uuid => {
                let text = String::from_utf8_lossy(bytes);
                out.write_all(text.to_lowercase().as_bytes())
            }
        }
    }
}

/// Columns as the properties ask for them.
#[derive(Debug)]
pub struct DefaultFormatter {
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
    key_deserializer: Deserializer,
    value_deserializer: Deserializer,
    headers_deserializer: Deserializer,
}

impl DefaultFormatter {
    fn new(settings: &Settings) -> Result<Self, String> {
        let on = |key: &str, default: bool| {
            settings.get(key).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        let text =
            |key: &str, default: &str| settings.get(key).map_or(default, String::as_str).to_owned();
        let deserializer = |key: &str| {
            settings.get(key).map_or(Ok(Deserializer::Bytes), |class| Deserializer::new(class))
        };
        Ok(Self {
            timestamp: on("print.timestamp", false),
            partition: on("print.partition", false),
            offset: on("print.offset", false),
            delivery: on("print.delivery", false),
            epoch: on("print.epoch", false),
            headers: on("print.headers", false),
            key: on("print.key", false),
            value: on("print.value", true),
            separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            key_deserializer: deserializer("key.deserializer")?,
            value_deserializer: deserializer("value.deserializer")?,
            headers_deserializer: deserializer("headers.deserializer")?,
        })
    }

    /// The columns in Kafka's order; the last one ends with the line separator.
    fn write(&self, record: &ConsumerRecord, out: &mut impl Write) -> io::Result<()> {
        let columns = [
            self.timestamp,
            self.partition,
            self.offset,
            self.delivery,
            self.epoch,
            self.headers,
            self.key,
            self.value,
        ];
        let last = columns.iter().rposition(|shown| *shown);
        for (column, _) in columns.iter().enumerate().filter(|(_, shown)| **shown) {
            match column {
                0 => match record.timestamp_type {
                    Some(records::TimestampType::CreateTime) => {
                        write!(out, "CreateTime:{}", record.timestamp)?
                    }
                    Some(records::TimestampType::LogAppendTime) => {
                        write!(out, "LogAppendTime:{}", record.timestamp)?;
                    }
                    None => out.write_all(b"NO_TIMESTAMP")?,
                },
                1 => write!(out, "Partition:{}", record.partition)?,
                2 => write!(out, "Offset:{}", record.offset)?,
                3 => out.write_all(b"Delivery:NOT_PRESENT")?,
                // Kafka's tool loses the epoch before it prints: never another text.
                4 => out.write_all(b"Epoch:NOT_PRESENT")?,
                5 => self.write_headers(record, out)?,
                6 => self.write_field(record.key.as_deref(), self.key_deserializer, out)?,
                _ => self.write_field(record.value.as_deref(), self.value_deserializer, out)?,
            }
            let end = if Some(column) == last { &self.line_separator } else { &self.separator };
            out.write_all(end.as_bytes())?;
        }
        Ok(())
    }

    fn write_headers(&self, record: &ConsumerRecord, out: &mut impl Write) -> io::Result<()> {
        if record.headers.is_empty() {
            return out.write_all(b"NO_HEADERS");
        }
        for (at, (key, value)) in record.headers.iter().enumerate() {
            if at > 0 {
                out.write_all(self.headers_separator.as_bytes())?;
            }
            write!(out, "{key}:")?;
            self.write_field(value.as_deref(), self.headers_deserializer, out)?;
        }
        Ok(())
    }

    fn write_field(
        &self,
        field: Option<&[u8]>,
        deserializer: Deserializer,
        out: &mut impl Write,
    ) -> io::Result<()> {
        match field {
            Some(bytes) => deserializer.write(bytes, out),
            None => deserializer.write(self.null_literal.as_bytes(), out),
        }
    }
}

#[cfg(test)]
mod tests;
