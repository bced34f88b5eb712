//! Where a server is: `unix://PATH` or `tcp://ADDRESS:PORT`, what `RUMP_SERVER` has.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Where a server is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Url {
    /// A socket in the file system.
    Unix(PathBuf),
    /// An IPv4 address and a port. Port 0 is whichever is free.
    Tcp(SocketAddr),
}

/// What is no address of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadUrl(String);

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no address of a server: unix://PATH or tcp://ADDRESS:PORT", self.0)
    }
}

impl std::error::Error for BadUrl {}

impl Url {
    /// Whether only programs of this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(address) => address.ip().is_loopback(),
        }
    }
}

impl FromStr for Url {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let bad = || BadUrl(text.to_owned());
        match text.split_once("://") {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("tcp", address)) => {
                let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
                // What the C library takes for all addresses.
                let ip = match host {
                    "*" | "0" => Ipv4Addr::UNSPECIFIED,
                    host => host.parse().map_err(|_| bad())?,
                };
                Ok(Self::Tcp((IpAddr::V4(ip), port.parse().map_err(|_| bad())?).into()))
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in ["unix:///run/a b", "unix://relative", "tcp://127.0.0.1:0", "tcp://10.1.2.3:80"]
        {
            assert_eq!(text.parse::<Url>().map(|url| url.to_string()).as_deref(), Ok(text));
        }
        assert_eq!(
            "tcp://*:7".parse::<Url>().map(|url| url.to_string()).as_deref(),
            Ok("tcp://0.0.0.0:7")
        );
        let local = |text: &str| text.parse::<Url>().map(|url| url.is_local());
        assert_eq!(
            [local("unix://x"), local("tcp://127.0.0.1:1"), local("tcp://*:1")],
            [Ok(true), Ok(true), Ok(false)]
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "unix://",
            "/run/x",
            "tcp://",
            "tcp://localhost",
            "tcp://1.2.3.4:99999",
            "tcp6://::1:1",
        ] {
            assert_eq!(text.parse::<Url>(), Err(BadUrl(text.to_owned())));
        }
    }
}
