//! The test's hand in the platform: counts its steps, does what is to go wrong at one of them, and fails allocations of the
//! core. It also carries the defects that show that the matrix can fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use hvpci_core::backend::PlatformError;
use hvpci_mock::host::packet::MessageType;
use hvpci_mock::sim::{Hook, MockPlatform, PlatformStep};
use hvpci_tests::bench::slot;

use super::cell::{Mishap, Place};

/// A defect of the guest that the matrix has to find, whatever else goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// BAR windows are never given back.
    LeaksWindows,
    /// The config window is never given back.
    LeaksConfigWindow,
    /// EJECTION_COMPLETE is never sent.
    NoEjectionComplete,
    /// RESOURCES_RELEASED and D0EXIT are never sent: the channel is closed over what the host still holds.
    NoGoodbye,
    /// An answer is waited for for two hours.
    Patient,
    /// A message that the core has counted is not sent.
    Swallows(MessageType),
    /// The second function's driver keeps its interrupts.
    KeepsInterrupts,
    /// The OS takes no function.
    RefusesFunctions,
    /// The core counts so many maps, unmaps, host unmaps, traps, messages too many, all of them of the first function.
    Miscounts([i64; 5]),
}

#[derive(Default)]
struct State {
    armed: bool,
    seen: BTreeMap<PlatformStep, u32>,
    log: Vec<Place>,
    plan: Option<(Place, Mishap)>,
    struck: bool,
}

/// See [`Hook`].
#[derive(Default)]
pub struct Hand {
    platform: OnceLock<Weak<MockPlatform>>,
    state: Mutex<State>,
    defect: Option<Defect>,
}

impl Hand {
    /// A hand in this platform.
    pub fn in_platform(platform: &Arc<MockPlatform>, defect: Option<Defect>) -> Arc<Hand> {
        let hand = Arc::new(Hand { defect, ..Hand::default() });
        hand.platform.get_or_init(|| Arc::downgrade(platform));
        platform.set_hook(hand.clone());
        hand
    }

    /// Counts from here, and has this go wrong.
    pub fn arm(&self, plan: Option<(Place, Mishap)>) {
        *self.state.lock().unwrap() = State { armed: true, plan, ..State::default() };
        hvpci_test_alloc::fail_at(match plan {
            Some((Place::Allocation(nth), _)) => Some(nth),
            _ => None,
        });
    }

    /// Stops counting: the steps since [`Hand::arm`], the core's allocations, and whether the plan has struck.
    pub fn disarm(&self) -> (Vec<Place>, u64, bool) {
        let mut state = self.state.lock().unwrap();
        state.armed = false;
        let (made, failed) = hvpci_test_alloc::take_counts();
        (std::mem::take(&mut state.log), made, state.struck || failed > 0)
    }

    /// What the defect, if any, has the core count too many.
    pub fn miscounted(&self) -> [i64; 5] {
        if let Some(Defect::Miscounts(too_many)) = self.defect { too_many } else { [0; 5] }
    }

    /// What the defect, if any, makes of a step.
    fn spoilt(&self, step: PlatformStep) -> bool {
        let message = |wanted| step == PlatformStep::Send(wanted);
        match self.defect {
            Some(Defect::LeaksWindows) => step == PlatformStep::ReleaseWindow,
            Some(Defect::LeaksConfigWindow) => step == PlatformStep::ReleaseConfigWindow,
            Some(Defect::NoEjectionComplete) => message(MessageType::EJECTION_COMPLETE),
            Some(Defect::NoGoodbye) => message(MessageType::RESOURCES_RELEASED) || message(MessageType::FDO_D0EXIT),
            Some(Defect::Swallows(wanted)) => message(wanted),
            Some(Defect::RefusesFunctions) => step == PlatformStep::Published,
            Some(Defect::KeepsInterrupts) => step == PlatformStep::FreeInterrupts(slot(1)),
            Some(Defect::Patient | Defect::Miscounts(_)) | None => false,
        }
    }
}

impl Hook for Hand {
    fn step(&self, step: PlatformStep) -> Result<(), PlatformError> {
        if self.spoilt(step) {
            return Err(PlatformError::Refused);
        }
        // No places of their own: a message has one where the host reads it, and interrupts go in the course of other steps.
        if matches!(step, PlatformStep::Send(_) | PlatformStep::FreeInterrupts(_)) {
            return Ok(());
        }
        let mishap = {
            let mut state = self.state.lock().unwrap();
            if !state.armed {
                return Ok(());
            }
            let nth = state.seen.entry(step).or_insert(0);
            *nth += 1;
            let place = Place::Platform(step, *nth);
            state.log.push(place);
            match state.plan {
                Some((at, mishap)) if at == place => {
                    state.struck = true;
                    mishap
                }
                _ => return Ok(()),
            }
        };
        let platform = self.platform.get().and_then(Weak::upgrade).expect("it takes the step");
        platform.on_host(|host, id, now| match mishap {
            Mishap::Rescind => host.rescind(id, now),
            Mishap::Eject => host.eject(id, now, slot(1)),
            Mishap::Remove => drop(host.remove_function(id, now, slot(1))),
            Mishap::Deaf => host.set_gone(id, slot(1), true),
            Mishap::Refuse | Mishap::Host(_) | Mishap::Silence => {}
        });
        if mishap == Mishap::Refuse { Err(PlatformError::OutOfMemory) } else { Ok(()) }
    }

    fn in_core(&self, inside: bool) {
        if inside {
            hvpci_test_alloc::enter();
        } else {
            hvpci_test_alloc::leave();
        }
    }
}
