//! Faults of the driver: where, at which address, at which IRQL. Faults on a config window are accesses to the host.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fail::{Verdict, fail};
use crate::world::try_with;
use crate::{irql, mmio};

static BASE: AtomicUsize = AtomicUsize::new(0);
static SIZE: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    // SAFETY: what the kernel hands to a SA_SIGINFO handler.
    let (context, address) = unsafe { (&mut *context, (*info).si_addr() as usize) };
    let rip = context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
    let offset = rip.wrapping_sub(BASE.load(Ordering::Relaxed));
    let inside = offset < SIZE.load(Ordering::Relaxed);
    // SAFETY: the context of this fault; the thread runs driver code and holds no lock of the loader.
    if inside && signal == libc::SIGSEGV && unsafe { mmio::emulate(context, address) } {
        return;
    }
    let place = if inside { format!("driver RVA {offset:#x}") } else { format!("{rip:#x}, called by the driver") };
    let freed = try_with(|world| world.nt.pool.was_freed(address)).unwrap_or(false);
    let note = if freed { " (in freed pool)" } else { "" };
    fail(Verdict::Fault, &format!("signal {signal} at {place}, address {address:#x}{note}, IRQL {}", irql::current()));
}

/// Watches an image for faults.
pub fn watch(base: *mut u8, size: usize) {
    BASE.store(base as usize, Ordering::Relaxed);
    SIZE.store(size, Ordering::Relaxed);
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGTRAP, libc::SIGFPE] {
        // SAFETY: a handler of the SA_SIGINFO kind. SA_NODEFER: the handler may end the process from inside.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}
