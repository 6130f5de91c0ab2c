//! The models, run over a small fake device and checked against recorded and measured facts.

mod device;
mod facts;
mod flips;
mod recording;
mod sequences;

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

/// Runs a future that never waits.
fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the fake device never makes a model wait"),
    }
}
