//! Who asks a coordinator, as groups remember and show it.

use std::net::IpAddr;

use group::Caller;

use crate::clock::random_uuid;
use crate::request::RequestContext;

impl RequestContext {
    /// The client of this request, with an id for the member that it may become.
    pub fn caller(&self) -> Caller {
        Caller {
            version: self.version,
            client_id: self.client_id.as_deref().unwrap_or_default().into(),
            client_host: host(self.connection.peer.ip()).into(),
            fresh_id: random_uuid(),
        }
    }
}

/// As Java prints an address without name: `/127.0.0.1`, `/0:0:0:0:0:0:0:1`.
fn host(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("/{address}"),
        IpAddr::V6(address) => {
            let groups = address.segments().map(|group| format!("{group:x}"));
            format!("/{}", groups.join(":"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn hosts_are_printed_as_java_does() {
        let cases = [
            ("127.0.0.1", "/127.0.0.1"),
            ("::1", "/0:0:0:0:0:0:0:1"),
            ("::ffff:10.0.0.7", "/10.0.0.7"),
            ("2001:db8::a:0:1", "/2001:db8:0:0:0:a:0:1"),
        ];
        for (address, printed) in cases {
            assert_eq!(host(address.parse().expect("an address")), printed);
        }
    }
}
