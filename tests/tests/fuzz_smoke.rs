//! The bodies of the fuzz targets with pseudo-random bytes and with the seeds of `tests/fuzz/seeds`: the same inputs on
//! every run, a fixed number of them. Real fuzzing goes further: see `tests/fuzz/README.md`.

use std::path::Path;

use hvpci_tests::fuzzing;

/// xorshift64*: the same numbers everywhere, and no dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit.max(1)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.next() >> 56) as u8).collect()
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Runs a body on the seeds, on seeds with a few bytes changed, cut or doubled, and on random bytes.
fn smoke(target: &str, body: fn(&[u8]), runs: usize, longest: usize) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let seeds = seeds(target);
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| body(seed));
    for run in 0..runs {
        let mut input = if run % 2 == 0 {
            let length = random.below(longest);
            random.bytes(length)
        } else {
            seeds[random.below(seeds.len())].clone()
        };
        for _ in 0..random.below(8) * (run % 2) {
            let at = random.below(input.len());
            match random.below(4) {
                0 => input.truncate(at),
                1 => input.extend_from_within(at..),
                _ if at < input.len() => input[at] = (random.next() >> 40) as u8,
                _ => {}
            }
            input.truncate(longest);
        }
        body(&input);
    }
}

#[test]
fn wire() {
    smoke("wire", fuzzing::wire, 200_000, 400);
}

#[test]
fn bus() {
    smoke("bus", fuzzing::bus, 40_000, 1500);
}

#[test]
fn config() {
    smoke("config", fuzzing::config, 60_000, 1500);
}

#[test]
fn recording() {
    smoke("recording", fuzzing::recording, 20_000, 4000);
}

#[test]
fn scenario() {
    smoke("scenario", fuzzing::scenario, 20_000, 3000);
}
