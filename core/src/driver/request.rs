//! What is asked of the host: submitted, polled or waited for, given up.

use core::future::Future;
use core::task::Poll;

use crate::backend::{Platform, Waiter};
use crate::bus::{InterruptRoom, Reply, Request, RequestError, SubmitError, Ticket};
use crate::config::EnableRefused;
use crate::{OutOfMemory, Time};

/// Makes room for the records of `total` interrupts in all. Sleepable contexts; nothing is allocated or freed under the
/// platform's lock, in which some kernels can do neither.
///
/// # Errors
///
/// Without memory; nothing changed then.
pub fn reserve_interrupts(platform: &dyn Platform, total: u16) -> Result<(), OutOfMemory> {
    let mut there = 0;
    platform.with_bus(&mut |bus, _| there = bus.interrupt_room());
    if there < usize::from(total) {
        let mut room = InterruptRoom::new(total)?;
        platform.with_bus(&mut |bus, _| bus.take_interrupt_room(&mut room));
    }
    Ok(())
}

/// Submits a request to the host. Any context. The ticket is polled with [`poll`] and, if nobody wants the answer any
/// more, given up with [`withdraw`]; a ticket that is neither keeps its place in the table.
pub fn submit(platform: &dyn Platform, request: Request) -> Result<Ticket, SubmitError> {
    let (mut request, mut result) = (Some(request), Err(SubmitError::NotUp));
    platform.with_bus(&mut |bus, port| {
        let Some(request) = request.take() else { return };
        let now = platform.now();
        result = bus.submit(now, request);
        bus.transmit(now, port);
    });
    platform.wake();
    result
}

/// Looks for the answer to a request. Any context; ends the ticket when it is ready. A platform that waits for it polls
/// again whenever [`Platform::wake`] was called, or, with interrupts off, each time it has drained the ring.
pub fn poll(platform: &dyn Platform, ticket: Ticket) -> Poll<Result<Reply, RequestError>> {
    let mut result = Poll::Pending;
    platform.with_bus(&mut |bus, _| {
        bus.handle_timeout(platform.now());
        result = bus.poll_reply(ticket);
    });
    result
}

/// Gives a request up. Any context. Its late answer is recognised and, if it created something, undone.
pub fn withdraw(platform: &dyn Platform, ticket: Ticket) {
    platform.with_bus(&mut |bus, _| bus.withdraw(ticket));
    platform.wake();
}

/// Why a request came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFailure {
    /// It was not taken: nothing was sent.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The host did not do it.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Turning decode on would break invariant I3: nothing was sent.
    #[error(transparent)]
    Refused(#[from] EnableRefused),
}

/// Submits a request and waits for its answer. Sleepable context; ends at the request's deadline at the latest. One at a
/// time per function, because it waits as [`Waiter::Function`]: a platform with other places to wait at calls
/// [`request_at`].
pub async fn request(platform: &dyn Platform, request: Request) -> Result<Reply, RequestFailure> {
    let slot = request.slot();
    request_at(platform, request, |deadline| platform.wait(Waiter::Function(slot), deadline)).await
}

/// [`request`] that waits where the caller likes: see [`answer`].
pub async fn request_at<W: Future<Output = ()>>(
    platform: &dyn Platform,
    request: Request,
    wait: impl Fn(Option<Time>) -> W,
) -> Result<Reply, RequestFailure> {
    let ticket = submit(platform, request)?;
    Ok(answer(platform, ticket, wait).await?)
}

/// Waits for the answer to a request. `wait` waits, where the caller likes, until [`Platform::wake`] was called since it
/// last returned, or until the deadline it is given. Sleepable context; ends at the request's deadline at the latest. A
/// caller that drops the future before gives the request up with it, as by [`withdraw`].
pub async fn answer<W: Future<Output = ()>>(
    platform: &dyn Platform,
    ticket: Ticket,
    wait: impl Fn(Option<Time>) -> W,
) -> Result<Reply, RequestError> {
    let mut held = Held { platform, ticket: Some(ticket) };
    loop {
        if let Poll::Ready(result) = poll(platform, ticket) {
            held.ticket = None;
            return result;
        }
        // A time that has come already concerns the pump: waiting for it here would be spinning.
        let mut deadline = None;
        platform.with_bus(&mut |bus, _| deadline = bus.poll_timeout().filter(|at| *at > platform.now()));
        wait(deadline).await;
    }
}

/// A ticket that is given up when it is dropped.
struct Held<'a> {
    platform: &'a dyn Platform,
    ticket: Option<Ticket>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            withdraw(self.platform, ticket);
        }
    }
}
