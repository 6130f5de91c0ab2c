#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hvpci_tests::fuzzing::recording(bytes));
