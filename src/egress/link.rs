//! A connection to a stranger: plain or TLS, and counted, so that nobody who never comes to the point is listened to for
//! ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The longest head of an answer. What is longer is no answer.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// What is read until an answer's head has come: one head, what announces it (1xx), and what is read ahead of its body.
const UNTIL_HEAD_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX;
/// What is read after it, with all that frames a body: 64 KiB in chunks of a byte are 384 KiB. Who reads one counts its bytes and
/// stops long before, but the length of a chunk may be nothing but zeros that never end.
const AFTER_HEAD_BYTES_MAX: usize = 512 * 1024;
/// What is read in one turn. Whoever sends as fast as it is read would otherwise never let the others on this thread go on.
const TURN_BYTES: usize = 16 * 1024;

/// More came than may, before the head of an answer or as the frame of its body.
#[derive(Debug, thiserror::Error)]
#[error("more came than an answer may be")]
pub(super) struct TooMuch;

/// What is known of a connection by whoever uses it.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    read_bytes: AtomicUsize,
    /// What may be read after the head, where that is more than usual.
    awaited_bytes: AtomicUsize,
    /// An answer's head has come since the last question.
    has_head: AtomicBool,
    /// That answer was read to its end.
    is_at_rest: AtomicBool,
    has_served: AtomicBool,
}

impl Meter {
    /// The head of an answer is there. Whoever reads its body counts for itself.
    pub(super) fn head_came(&self) {
        self.0.read_bytes.store(0, Ordering::Relaxed);
        self.0.awaited_bytes.store(0, Ordering::Relaxed);
        self.0.has_head.store(true, Ordering::Relaxed);
        self.0.has_served.store(true, Ordering::Relaxed);
    }

    /// A body of so many bytes may come, in chunks that are not all tiny.
    pub(super) fn awaits(&self, bytes: usize) {
        self.0.awaited_bytes.store(bytes.saturating_mul(2), Ordering::Relaxed);
    }

    /// The whole answer is there: what is written next is another question.
    pub(super) fn rest(&self) {
        self.0.is_at_rest.store(true, Ordering::Relaxed);
    }

    /// Whether an answer has ever come from there.
    pub(super) fn has_served(&self) -> bool {
        self.0.has_served.load(Ordering::Relaxed)
    }

    fn wrote(&self) {
        if self.0.is_at_rest.swap(false, Ordering::Relaxed) {
            self.0.has_head.store(false, Ordering::Relaxed);
            self.0.read_bytes.store(0, Ordering::Relaxed);
        }
    }

    fn read(&self, bytes: usize) -> io::Result<()> {
        let has_head = self.0.has_head.load(Ordering::Relaxed);
        let awaited = self.0.awaited_bytes.load(Ordering::Relaxed);
        let bytes_max = if has_head { awaited.max(AFTER_HEAD_BYTES_MAX) } else { UNTIL_HEAD_BYTES_MAX };
        let before = self.0.read_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > bytes_max { Err(io::Error::other(TooMuch)) } else { Ok(()) }
    }
}

/// A connection, ready to be spoken HTTP on.
pub(super) struct Link {
    wire: Wire,
    meter: Meter,
    /// What was read in this turn.
    turn_bytes: usize,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Link {
    fn over(wire: Wire) -> Self {
        Self { wire, meter: Meter::default(), turn_bytes: 0 }
    }

    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::over(Wire::Plain(stream))
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::over(Wire::Tls(Box::new(stream)))
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.meter.clone())
    }
}

impl AsyncRead for Link {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.turn_bytes >= TURN_BYTES {
            self.turn_bytes = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = into.filled().len();
        let read = match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        };
        match read {
            Poll::Ready(Ok(())) => {
                let bytes = into.filled().len() - before;
                self.turn_bytes += bytes;
                Poll::Ready(self.meter.read(bytes))
            }
            other => other,
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.meter.wrote();
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.meter.wrote();
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
