//! Just enough HTTP/1.1 for both ends of the bench: whole messages with a content-length, off a connection that is
//! kept. It must stay cheap, as it shares the machine with the server it measures; it is no general implementation.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Well above any event or delivery the bench causes; more means that the other end does not speak as expected.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Holds a delivery of the usual size, so that one read fetches it.
const BUFFER_BYTES: usize = 8 << 10;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// One kept-alive connection, read message by message.
pub struct Messages {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes at the start of `buffer` that belong to the message given out last.
    taken: usize,
}

/// A whole request or answer.
pub struct Message<'a> {
    head: &'a str,
    pub body: &'a [u8],
}

impl Messages {
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(BUFFER_BYTES), taken: 0 })
    }

    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next whole message, or nothing when the other end has closed between two.
    pub async fn next(&mut self) -> io::Result<Option<Message<'_>>> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let (head_bytes, whole_bytes) = loop {
            if let Some(frame) = frame(&self.buffer)? {
                break frame;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        self.taken = whole_bytes;
        let (whole, _) = self.buffer.split_at(whole_bytes);
        let (head, body) = whole.split_at(head_bytes);
        Ok(Some(Message { head: text(head)?, body }))
    }
}

impl Message<'_> {
    /// The first line's word at `place`, counted from 0: a request's path is at 1, and so is an answer's status.
    pub fn word(&self, place: usize) -> Option<&str> {
        self.head.lines().next()?.split(' ').nth(place)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }
}

/// Lengths of the head and of the whole message at the start of `buffer`, once all of it is there.
fn frame(buffer: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let head_end = buffer.windows(HEAD_END.len()).position(|window| window == HEAD_END);
    let Some(head_end) = head_end else {
        if buffer.len() > MESSAGE_BYTES_MAX {
            return Err(invalid("a head without an end"));
        }
        return Ok(None);
    };
    let head_bytes = head_end + HEAD_END.len();
    let head = text(buffer.split_at(head_bytes).0)?;
    let body_bytes = match header(head, "content-length") {
        Some(length) => length.parse().map_err(|_| invalid("a content-length that is no number"))?,
        None if header(head, "transfer-encoding").is_some() => {
            return Err(invalid("a message without a content-length"));
        }
        None => 0,
    };
    if body_bytes > MESSAGE_BYTES_MAX {
        return Err(invalid("a body beyond what the bench reads"));
    }
    let whole_bytes = head_bytes + body_bytes;
    Ok((buffer.len() >= whole_bytes).then_some((head_bytes, whole_bytes)))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn text(head: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(head).map_err(|_| invalid("a head that is not UTF-8"))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
