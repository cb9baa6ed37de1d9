//! A server that speaks the protocol and says what a test wants it to say.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::request_header::RequestHeader;
use protocol::{ApiKey, Decode, Encode, Reader, decode_exact, encode_to_vec};

use crate::common::frame;

/// One request.
#[derive(Clone)]
pub struct Asked {
    pub api: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    /// Header and body.
    bytes: Vec<u8>,
    body: Vec<u8>,
}

impl Asked {
    pub fn decode<'a, T: Decode<'a>>(&'a self) -> T {
        decode_exact(&self.body, self.version).unwrap()
    }

    /// The same request; a fetch waits for news so long at most.
    pub fn waiting(&self, wait_ms: i32) -> Self {
        let mut asked = self.clone();
        if self.api == ApiKey::Fetch {
            let mut request: FetchRequest<'_> = self.decode();
            request.max_wait_ms = request.max_wait_ms.min(wait_ms);
            asked.body = encode_to_vec(&request, self.version).unwrap();
            asked.bytes.truncate(self.bytes.len() - self.body.len());
            asked.bytes.extend(&asked.body);
        }
        asked
    }

    /// What somebody else answers to the same request, without the header; `None` when nothing comes.
    pub fn forward(&self, address: &str) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        stream.write_all(&frame(&self.bytes)).ok()?;
        let mut size = [0; 4];
        stream.read_exact(&mut size).ok()?;
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).ok()?];
        stream.read_exact(&mut answer).ok()?;
        let header = self.api.response_header_version(self.version);
        answer.drain(..if header == 1 { 5 } else { 4 });
        Some(answer)
    }

    /// The honest frame around a body.
    pub fn answer(&self, body: &impl Encode) -> Reply {
        Reply::Body(self.correlation_id, encode_to_vec(body, self.version).unwrap())
    }
}

pub enum Reply {
    /// Under this correlation id.
    Body(i32, Vec<u8>),
    /// As they are, and then the end of the connection.
    Bytes(Vec<u8>),
    Never,
    Close,
}

type Script = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// Listens until the test ends.
pub struct Fake {
    pub port: u16,
}

impl Fake {
    pub fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(0, script)
    }

    pub fn start_at(port: u16, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let script: Script = Arc::new(script);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), script) = (stream, Arc::clone(&script)) else { return };
                // A connection ends with an error of reading or writing.
                std::thread::spawn(move || serve(stream, &script));
            }
        });
        Self { port }
    }
}

fn serve(mut stream: TcpStream, script: &Script) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut size = [0; 4];
        stream.read_exact(&mut size)?;
        let mut bytes = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
        stream.read_exact(&mut bytes)?;
        let asked = parse(&bytes);
        match script(&asked) {
            Reply::Body(correlation_id, body) => {
                let mut answer = correlation_id.to_be_bytes().to_vec();
                if asked.api.response_header_version(asked.version) == 1 {
                    answer.push(0);
                }
                answer.extend(body);
                stream.write_all(&frame(&answer))?;
            }
            Reply::Bytes(bytes) => {
                stream.write_all(&bytes)?;
                // The other side is to end it.
                stream.read_exact(&mut [0])?;
                return Ok(());
            }
            Reply::Never => {}
            Reply::Close => return Ok(()),
        }
    }
}

fn parse(bytes: &[u8]) -> Asked {
    let short = |at: usize| i16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let (api, version) = (ApiKey::from_i16(short(0)).unwrap(), short(2));
    let mut reader = Reader::new(bytes);
    let header = RequestHeader::decode(&mut reader, api.request_header_version(version)).unwrap();
    let body = bytes[reader.position()..].to_vec();
    let (correlation_id, bytes) = (header.correlation_id, bytes.to_vec());
    Asked { api, version, correlation_id, bytes, body }
}

/// All that this binary knows.
pub fn versions() -> ApiVersionsResponse<'static> {
    let row = |api: ApiKey| ApiVersion {
        api_key: api.code(),
        min_version: *api.stable_versions().start(),
        max_version: *api.stable_versions().end(),
        ..Default::default()
    };
    ApiVersionsResponse { api_keys: ApiKey::all().map(row).collect(), ..Default::default() }
}

/// How many there may be since `begin`, when so many may be in each `window`: on a busy machine a test sleeps longer than it wants.
pub fn within(begin: Instant, window: Duration, most: usize) -> usize {
    (begin.elapsed().div_duration_f64(window) * most as f64).ceil() as usize
}
