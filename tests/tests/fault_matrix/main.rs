//! The fault matrix: every step of bring-up, hot-plug, suspend, resume and teardown x everything that can go wrong there x
//! every protocol version x both guest styles x every policy.
//!
//! The steps are not listed: each phase runs once with nothing going wrong, and what happened is what can go wrong.
//! By default each (style, version, phase, step, mishap) is run under one of its policies, in turn; `HVPCI_MATRIX=full` runs
//! every combination.

mod cell;
mod defects;
mod excuse;
mod expected;
mod hand;
mod judge;
mod life;
mod run;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hvpci_mock::guest::GuestStyle;
use hvpci_mock::sim::PlatformStep;

use cell::{Cell, Combo, Phase, Place, combos};
use hand::Defect;
use run::End;

#[global_allocator]
static ALLOCATOR: hvpci_test_alloc::Failing = hvpci_test_alloc::Failing;

/// Problems shown of a failed run.
const SHOWN: usize = 12;
/// Has neighbouring groups take different members; prime to the usual sizes of groups.
const TURN: usize = 7;
/// The columns of the matrix, and the ways for a bus to end.
const COLUMNS: usize = 12;
const ENDS: usize = 5;

/// Does `work` for each item, on all processors.
fn parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(item);
                    results.lock().unwrap().push(result);
                }
            });
        }
    });
    results.into_inner().unwrap()
}

/// All cells of all combinations.
fn cells() -> Vec<Cell> {
    let phases: Vec<(Combo, Phase)> =
        combos().into_iter().flat_map(|combo| Phase::ALL.map(|phase| (combo, phase))).collect();
    let found = parallel(&phases, |&(combo, phase)| {
        let places = run::places(phase, combo);
        let places = places.map_err(|problem| format!("{combo:?}, {phase:?}, nothing going wrong: {problem}"))?;
        let cell =
            move |place: Place| place.mishaps().into_iter().map(move |mishap| Cell { combo, phase, place, mishap });
        Ok::<_, String>(((phase, format!("{combo:?}")), places.into_iter().flat_map(cell).collect::<Vec<_>>()))
    });
    let found: Result<BTreeMap<_, _>, _> = found.into_iter().collect();
    found.unwrap_or_else(|problem| panic!("{problem}")).into_values().flatten().collect()
}

/// One cell of each (style, version, phase, step, mishap), under the policies and kinds of VM in turn. Of the guest's single
/// config accesses, which are most of the steps, one cell of each (style, phase, step, mishap), the versions in turn too.
fn sample(cells: Vec<Cell>) -> Vec<Cell> {
    let mut groups: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
    for cell in cells {
        let Combo { guest, version, .. } = cell.combo;
        let access = matches!(cell.place, Place::Platform(PlatformStep::ConfigAccess, _));
        let version = if access { "any".to_owned() } else { version.to_string() };
        let key = format!("{:?} {version} {:?} {:?} {:?}", guest.style(), cell.phase, cell.place.key(), cell.mishap);
        groups.entry(key).or_default().push(cell);
    }
    groups.into_values().enumerate().map(|(turn, group)| group[turn * TURN % group.len()]).collect()
}

/// Runs cells; gives how they ended, and what did not hold.
fn run_all(cells: &[Cell], defect: Option<Defect>) -> (BTreeMap<End, usize>, Vec<String>) {
    let results = parallel(cells, |cell| {
        let result = catch_unwind(AssertUnwindSafe(|| run::run(cell, defect)));
        let result = result.unwrap_or_else(|panic| {
            hvpci_test_alloc::leave();
            let text = panic.downcast_ref::<String>().cloned();
            Err(format!("panicked: {}", text.unwrap_or_else(|| "with something odd".into())))
        });
        result.map_err(|problem| format!("{cell}: {problem}"))
    });
    let (mut ends, mut problems) = (BTreeMap::new(), Vec::new());
    for result in results {
        match result {
            Ok(end) => *ends.entry(end).or_default() += 1,
            Err(problem) => problems.push(problem),
        }
    }
    problems.sort();
    (ends, problems)
}

fn is_full() -> bool {
    std::env::var("HVPCI_MATRIX").is_ok_and(|wanted| wanted == "full")
}

#[test]
fn whatever_goes_wrong_ends_up_or_cleanly_gone() {
    let began = Instant::now();
    let all = cells();
    let total = all.len();
    let chosen = if is_full() { all } else { sample(all) };
    let mut table: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for cell in &chosen {
        table.entry(cell.column()).or_default()[usize::from(cell.combo.guest.style() == GuestStyle::Messages)] += 1;
    }
    let (ends, problems) = run_all(&chosen, None);
    println!("fault matrix: {} of {total} cells in {:.1} s", chosen.len(), began.elapsed().as_secs_f64());
    println!("{:<20} {:>12} {:>10}", "", "config space", "messages");
    for (column, [config_space, messages]) in &table {
        println!("{column:<20} {config_space:>12} {messages:>10}");
    }
    println!("ends: {ends:?}");
    // Every column of the matrix has cells in both styles, and every way to end was seen.
    assert_eq!(table.len(), COLUMNS);
    assert!(table.values().flatten().all(|cells| *cells > 0) && ends.len() == ENDS, "{table:?} {ends:?}");
    let shown: Vec<_> = problems.iter().take(SHOWN).collect();
    assert!(problems.is_empty(), "{} of {} cells: {shown:#?}", problems.len(), chosen.len());
}

/// The allocator can fail: an allocation of the core that fails is noticed, and one of the mock host never does.
#[test]
fn allocations_of_the_core_fail_where_they_are_told_to() {
    let made = |fail_at| {
        hvpci_test_alloc::fail_at(fail_at);
        hvpci_test_alloc::enter();
        let bus = hvpci_core::bus::Bus::new(
            hvpci_tests::bench::instance(0),
            hvpci_core::bus::BusOptions::new(GuestStyle::ConfigSpace, hvpci_core::interrupt::Architecture::X86),
        );
        let config = hvpci_core::config::ConfigSpace::new(Default::default());
        hvpci_test_alloc::leave();
        (bus.is_err(), config.is_err(), hvpci_test_alloc::take_counts())
    };
    let (bus, config, (allocations, _)) = made(None);
    assert!(!bus && !config && allocations > 5, "{allocations}");
    for nth in 1..=allocations {
        let (bus, config, (_, failed)) = made(Some(nth));
        assert!(bus != config, "allocation {nth}: one of the two cannot be made, and says so");
        assert_eq!(failed, 1);
    }
}
