//! The timer of one connection, which bounds how long a request's head may take. It is set anew before each request and
//! hardly ever runs out, so the runtime is told of it when it does: telling it each time takes a lock that is everybody's.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// What the runtime knows of: one sleep for as long as the connection lives.
type Kept = Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>;

pub(super) struct HeadTimer(Kept);

impl HeadTimer {
    /// A timer that the runtime knows from now on, as one that runs out in `first`.
    pub(super) fn new(first: Duration) -> Self {
        Self(Arc::new(Mutex::new(Box::pin(tokio::time::sleep(first)))))
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(HeadSleep { deadline, kept: self.0.clone() })
    }
}

struct HeadSleep {
    deadline: Instant,
    kept: Kept,
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = self.deadline.into();
        if kept.deadline() > deadline {
            kept.as_mut().reset(deadline);
        }
        loop {
            ready!(kept.as_mut().poll(cx));
            if kept.deadline() >= deadline {
                return Poll::Ready(());
            }
            kept.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn a_timer_that_is_set_anew_runs_out_at_its_last_deadline() {
        let timer = HeadTimer::new(LONG);
        let started = timer.now();

        timer.sleep(SHORT).await;
        let first = started.elapsed();
        drop(timer.sleep(SHORT));
        timer.sleep(3 * SHORT).await;
        let second = started.elapsed();

        assert!((SHORT..LONG).contains(&first), "{first:?}");
        assert!((first + 3 * SHORT..LONG).contains(&second), "{second:?}");
    }
}
