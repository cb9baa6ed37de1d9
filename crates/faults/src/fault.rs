//! One fault: what it does, and to which frames. Pure: the text of the control port becomes a [`Fault`], nothing happens yet.

use std::str::FromStr;
use std::time::Duration;

use protocol::ApiKey;

use crate::frame::Header;

/// Which way a frame goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Way {
    Request,
    Response,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Every frame takes this much longer; frames that follow each other do not wait for each other.
    Latency(Duration),
    /// The connections of a link share so many bytes a second.
    Rate { bytes_per_s: u64 },
    /// Frames leave in pieces.
    Slice { bytes: usize, pause: Duration },
    /// Nothing gets through. What is on its way arrives when the fault ends, as TCP sends it again.
    Drop,
    /// New connections are reset.
    Refuse,
    /// Matching frames, and all behind them on the connection, wait for the end of the fault.
    Hold,
    /// The same for a time.
    Delay(Duration),
    /// Matching requests arrive again: at once on the same connection, or later on a new one. Who sent them sees one answer.
    Repeat { times: u32, after: Option<Duration> },
    /// Matching frames vanish. A stream has no holes: the connection is closed unless `go_on`.
    Lose { go_on: bool },
    /// Instead of a matching frame both sides get a reset.
    Reset,
}

impl Kind {
    /// Whether it looks at single frames; else it is a property of the link.
    pub fn is_of_frames(self) -> bool {
        matches!(
            self,
            Self::Hold | Self::Delay(_) | Self::Repeat { .. } | Self::Lose { .. } | Self::Reset
        )
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The link's name, `*` for all.
    pub link: String,
    pub kind: Kind,
    /// `None` for both ways.
    pub way: Option<Way>,
    pub api: Option<ApiKey>,
    pub client_id: Option<String>,
    /// So many matching frames are left in peace first.
    pub skip: u64,
    /// Not more than so many are hit after them.
    pub count: u64,
}

impl Fault {
    pub fn is_on(&self, link: &str, way: Way) -> bool {
        (self.link == "*" || self.link == link) && self.way.is_none_or(|own| own == way)
    }

    pub fn matches(&self, header: &Header) -> bool {
        self.api.is_none_or(|api| header.api == Some(api))
            && self.client_id.as_ref().is_none_or(|id| *id == header.client_id)
    }
}

impl FromStr for Fault {
    type Err = String;

    /// `LINK KIND [KEY=VALUE]...`
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let link = words.next().ok_or("no link is named")?.to_owned();
        let name = words.next().ok_or("no kind is named")?;
        let mut settings = Settings::default();
        for word in words {
            let (key, value) =
                word.split_once('=').ok_or_else(|| format!("not understood: {word}"))?;
            settings.set(key, value).ok_or_else(|| format!("not understood: {word}"))?;
        }
        let kind = settings.kind(name)?;
        let way = match (settings.way, kind) {
            (Some(Some(Way::Response)) | Some(None), Kind::Repeat { .. }) => {
                return Err("only requests can be repeated".into());
            }
            (Some(way), _) => way,
            (None, kind) => kind.is_of_frames().then_some(Way::Request),
        };
        Ok(Self {
            link,
            kind,
            way,
            api: settings.api,
            client_id: settings.client_id,
            skip: settings.skip,
            count: settings.count.unwrap_or(u64::MAX),
        })
    }
}

#[derive(Default)]
struct Settings {
    way: Option<Option<Way>>,
    api: Option<ApiKey>,
    client_id: Option<String>,
    skip: u64,
    count: Option<u64>,
    ms: Option<u64>,
    bytes: Option<u64>,
    times: Option<u32>,
    go_on: bool,
}

impl Settings {
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "way" => {
                self.way = Some(match value {
                    "request" => Some(Way::Request),
                    "response" => Some(Way::Response),
                    "both" => None,
                    _ => return None,
                });
            }
            "api" => self.api = Some(api(value)?),
            "client" => self.client_id = Some(value.to_owned()),
            "skip" => self.skip = value.parse().ok()?,
            "count" => self.count = Some(value.parse().ok()?),
            "ms" => self.ms = Some(value.parse().ok()?),
            "bytes" => self.bytes = Some(value.parse().ok().filter(|bytes| *bytes > 0)?),
            "times" => self.times = Some(value.parse().ok()?),
            "then" => self.go_on = value == "go-on",
            _ => return None,
        }
        Some(())
    }

    fn kind(&self, name: &str) -> Result<Kind, String> {
        let ms = || self.ms.map(Duration::from_millis).ok_or(format!("{name} needs ms="));
        let bytes = || self.bytes.ok_or(format!("{name} needs bytes="));
        Ok(match name {
            "latency" => Kind::Latency(ms()?),
            "rate" => Kind::Rate { bytes_per_s: bytes()? },
            "slice" => Kind::Slice {
                bytes: usize::try_from(bytes()?).unwrap_or(usize::MAX),
                pause: Duration::from_millis(self.ms.unwrap_or(0)),
            },
            "drop" => Kind::Drop,
            "refuse" => Kind::Refuse,
            "hold" => Kind::Hold,
            "delay" => Kind::Delay(ms()?),
            "repeat" => Kind::Repeat {
                times: self.times.unwrap_or(1),
                after: self.ms.map(Duration::from_millis),
            },
            "lose" => Kind::Lose { go_on: self.go_on },
            "reset" => Kind::Reset,
            _ => return Err(format!("no such kind: {name}")),
        })
    }
}

/// An API by its name or number.
fn api(text: &str) -> Option<ApiKey> {
    match text.parse() {
        Ok(number) => ApiKey::from_i16(number),
        Err(_) => ApiKey::all().find(|api| api.name().eq_ignore_ascii_case(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_faults() {
        let fault: Fault = "a delay api=Produce ms=20 skip=2 count=3 client=me".parse().unwrap();
        assert_eq!(fault.kind, Kind::Delay(Duration::from_millis(20)));
        assert_eq!((fault.skip, fault.count), (2, 3));
        assert!(fault.is_on("a", Way::Request) && !fault.is_on("a", Way::Response));
        assert!(!fault.is_on("b", Way::Request));
        let mine = |api, client: &str| Header {
            api: Some(api),
            correlation_id: 1,
            client_id: client.into(),
        };
        assert!(fault.matches(&mine(ApiKey::Produce, "me")));
        assert!(!fault.matches(&mine(ApiKey::Fetch, "me")));
        assert!(!fault.matches(&mine(ApiKey::Produce, "you")));
        let drop: Fault = "* drop way=response".parse().unwrap();
        assert!(drop.is_on("b", Way::Response) && !drop.is_on("b", Way::Request));
        assert!("* latency ms=1".parse::<Fault>().unwrap().is_on("b", Way::Response));
        assert_eq!("x hold api=52".parse::<Fault>().unwrap().api, Some(ApiKey::Vote));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "a",
            "a burn",
            "a latency",
            "a rate bytes=0",
            "a hold api=Nothing",
            "a hold api=-1",
            "a drop way=up",
            "a hold when=now",
            "a hold count=x",
            "a repeat way=response",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
