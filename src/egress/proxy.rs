//! The operator's proxy, through which everything to strangers goes when there is one. It is asked for a tunnel
//! (RFC 9110 9.3.6), TLS is spoken with the receiver through it, and it resolves and judges the receiver's name: only what
//! dials an address can judge it. What can be judged without resolving is judged here all the same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::domain::delivery::FailureKind;
use crate::domain::secret::Secret;

/// The longest answer to the wish for a tunnel.
const ANSWER_BYTES_MAX: usize = 8 * 1024;
const PORT_STANDARD: u16 = 80;

/// A proxy that opens tunnels.
pub struct Proxy {
    host: String,
    port: u16,
    authorization: Option<Secret<String>>,
}

impl Proxy {
    /// From an `http` URL with a host and no path; with a user and a password, if it wants them.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if url.scheme() != "http" || !is_bare {
            return None;
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned());
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => {
                let pair = format!("{}:{}", decoded(user)?, decoded(password.unwrap_or_default())?);
                Some(Secret::new(format!("Basic {}", STANDARD.encode(pair))))
            }
        };
        let port = url.port().unwrap_or(PORT_STANDARD);
        Some(Self { host: url.host_str()?.to_owned(), port, authorization })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Asks for a tunnel to a receiver.
    pub(super) async fn tunnel(&self, mut stream: TcpStream, host: &str, port: u16) -> Result<TcpStream, FailureKind> {
        let authorization = self.authorization.as_ref();
        let authorization = authorization.map(|it| format!("proxy-authorization: {}\r\n", it.reveal()));
        let authorization = authorization.unwrap_or_default();
        let wish = format!("CONNECT {host}:{port} HTTP/1.1\r\nhost: {host}:{port}\r\n{authorization}\r\n");
        stream.write_all(wish.as_bytes()).await.map_err(|_| FailureKind::Connect)?;
        let mut answer = Vec::with_capacity(1_024);
        while !answer.ends_with(b"\r\n\r\n") {
            // Byte by byte, so that nothing is taken that belongs to the tunnel.
            let byte = stream.read_u8().await.map_err(|_| FailureKind::Connect)?;
            answer.push(byte);
            if answer.len() > ANSWER_BYTES_MAX {
                return Err(FailureKind::Connect);
            }
        }
        match status_code(&answer) {
            Some(200..=299) => Ok(stream),
            // Smokescreen refuses with 407 what its rules do not allow, others with 403.
            Some(403 | 407) => Err(FailureKind::Blocked),
            _ => Err(FailureKind::Connect),
        }
    }
}

fn status_code(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_http_url_with_a_host_and_no_more() {
        let proxy = Proxy::parse("http://user:p%40ss@proxy.example:4750").unwrap();

        assert_eq!((proxy.host(), proxy.port()), ("proxy.example", 4750));
        assert_eq!(proxy.authorization.unwrap().reveal(), "Basic dXNlcjpwQHNz");
        assert_eq!(Proxy::parse("http://10.0.0.1").unwrap().port(), 80);
        for text in ["", "proxy:4750", "https://proxy/", "socks5://proxy:1080", "http://proxy/path", "http://proxy/?a"]
        {
            assert!(Proxy::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_answer_that_is_not_http_opens_nothing() {
        assert_eq!(status_code(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status_code(b"HTTP/1.0 407 Request rejected by proxy\r\n\r\n"), Some(407));
        assert_eq!(status_code(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), None);
        assert_eq!(status_code(b"HTTP/1.1\r\n\r\n"), None);
    }
}
