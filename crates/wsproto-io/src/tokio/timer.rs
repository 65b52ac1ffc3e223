//! The one timer of a connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// Made when it is first needed, and set to the earliest of what is waited for.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Ready once this time has come.
    ///
    /// A timer that is set to an earlier time stays there and is set anew when that comes: most deadlines move on before
    /// they pass, and to set a timer costs more than to be woken once for nothing.
    pub(crate) fn poll_at(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        loop {
            if sleep.deadline() > at || sleep.is_elapsed() {
                sleep.as_mut().reset(at);
            }
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_timer_follows_a_deadline_that_moves_both_ways() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut timer = Timer::default();
        assert!(poll_fn(|cx| Poll::Ready(timer.poll_at(at(10), cx).is_pending())).await);
        poll_fn(|cx| timer.poll_at(at(20), cx)).await; // wakes at 10 s, and goes on
        assert_eq!(begun.elapsed().as_secs(), 20);
        assert!(poll_fn(|cx| Poll::Ready(timer.poll_at(at(90), cx).is_pending())).await);
        poll_fn(|cx| timer.poll_at(at(30), cx)).await;
        assert_eq!(begun.elapsed().as_secs(), 30);
        poll_fn(|cx| timer.poll_at(at(30), cx)).await; // again, at once
        assert_eq!(begun.elapsed().as_secs(), 30);
    }
}
