//! Golden recordings with something wrong in them: exactly that is found. Line numbers are those of the 6.1 recording.

use super::*;

const VERSION_REPLY: usize = 6;
const FIRST_LIST: usize = 8;
const REQUIREMENTS: usize = 9;
const REQUIREMENTS_REPLY: usize = 10;
const D0_ENTRY: usize = 11;
const D0_REPLY: usize = 14;
const ASSIGNED: usize = 15;
const ASSIGNED_REPLY: usize = 17;
const FIRST_CREATE: usize = 278;
const FIRST_CREATE_REPLY: usize = 279;
const FIRST_DELETE: usize = 338;

/// The lines of the 6.1 recording; index 0 is line 1.
fn lines() -> Vec<String> {
    text(LINUX_6_1).lines().map(str::to_owned).collect()
}

fn edited(line: usize, from: &str, to: &str) -> Vec<String> {
    let mut lines = lines();
    let edited = lines[line - 1].replacen(from, to, 1);
    assert_ne!(edited, lines[line - 1], "{from:?} is in line {line}");
    lines[line - 1] = edited;
    lines
}

/// Takes a line out, leaving an empty one so that the others keep their numbers.
fn without(line: usize) -> Vec<String> {
    let mut lines = lines();
    lines[line - 1].clear();
    lines
}

#[track_caller]
fn assert_finds(lines: &[String], mismatches: &[usize], errors: &[(usize, &str)]) {
    let replayed = replayed(&lines.join("\n"), Policy::Deferred);
    let [section] = replayed.sections.as_slice() else { panic!("one section") };
    let at: Vec<usize> = section.mismatches.iter().map(|mismatch| mismatch.line).collect();
    assert_eq!(at, mismatches, "{:?}", section.mismatches);
    let found = &section.message_errors;
    assert_eq!(section.counts.message_errors as usize, errors.len(), "{found:?}");
    for ((line, text), (expected, part)) in found.iter().zip(errors) {
        assert!(line == expected && text.contains(part), "{found:?}");
    }
}

#[test]
fn a_dropped_reply_is_one_error() {
    for line in [VERSION_REPLY, REQUIREMENTS_REPLY, D0_REPLY, ASSIGNED_REPLY, FIRST_CREATE_REPLY] {
        let request =
            [0, 1, 2, 3].map(|back| line - back).into_iter().find(|at| lines()[at - 1].contains("G->H")).unwrap();
        if line == REQUIREMENTS_REPLY {
            // With it go the BAR masks: only the message is of interest.
            let counts = replayed(&without(line).join("\n"), Policy::Deferred).counts;
            assert_eq!(counts.message_errors, 1);
            continue;
        }
        assert_finds(&without(line), &[], &[(request, "was never answered")]);
    }
}

#[test]
fn a_dropped_request_leaves_its_reply_alone() {
    for (line, reply) in [(REQUIREMENTS, REQUIREMENTS_REPLY), (D0_ENTRY, D0_REPLY), (ASSIGNED, ASSIGNED_REPLY)] {
        let replayed = replayed(&without(line).join("\n"), Policy::Deferred);
        let [section] = replayed.sections.as_slice() else { panic!("one section") };
        assert!(matches!(section.message_errors.as_slice(), [(at, text)] if *at == reply && text.contains("not open")));
    }
    // The interrupt that was not created is deleted later on.
    assert_finds(
        &without(FIRST_CREATE),
        &[],
        &[(FIRST_CREATE_REPLY, "not open"), (FIRST_DELETE, "there is no such interrupt")],
    );
}

#[test]
fn a_completion_of_another_transaction_matches_nothing() {
    assert_finds(
        &edited(D0_REPLY, "txid=0x1", "txid=0x2"),
        &[],
        &[(D0_ENTRY, "FDO_D0ENTRY was never answered"), (D0_REPLY, "not open")],
    );
}

#[test]
fn swapped_completions_answer_what_they_stand_behind() {
    // What stands behind the query for the BARs is the 4 bytes of the answer to D0 entry.
    let mut lines = lines();
    let payload = |line: &str| line.split_once("desc(").unwrap().1.to_owned();
    let (first, second) = (payload(&lines[REQUIREMENTS_REPLY - 1]), payload(&lines[D0_REPLY - 1]));
    lines[REQUIREMENTS_REPLY - 1] = lines[REQUIREMENTS_REPLY - 1].replace(&first, &second);
    lines[D0_REPLY - 1] = lines[D0_REPLY - 1].replace(&second, &first);
    let replayed = replayed(&lines.join("\n"), Policy::Deferred);
    let errors = &replayed.sections[0].message_errors;
    assert!(matches!(errors.as_slice(), [(REQUIREMENTS_REPLY, text)] if text.contains("does not parse")), "{errors:?}");
}

#[test]
fn changed_bytes_of_requests_differ_from_ours() {
    // Another window is what ours takes too; another slot is not.
    assert_finds(&edited(D0_ENTRY, "000000f8", "000000f0"), &[], &[]);
    let replayed = replayed(&edited(ASSIGNED, "16004942 00000000", "16004942 01000000").join("\n"), Policy::Deferred);
    let errors = &replayed.sections[0].message_errors;
    assert!(matches!(errors.as_slice(), [(ASSIGNED, text)] if text.contains("no function in slot 01.0")), "{errors:?}");
    // A vector that no device can have.
    assert_finds(
        &edited(FIRST_CREATE, "1b004942 00000000 ef000000", "1b004942 00000000 01000000"),
        &[],
        &[(FIRST_CREATE, "does not take the request"), (FIRST_DELETE, "there is no such interrupt")],
    );
}

#[test]
fn requests_of_another_version_differ_in_form() {
    // A guest of 1.3 that creates interrupts as one of 1.4 does.
    let lines = edited(5, "04000100", "03000100");
    let replayed = replayed(&lines.join("\n"), Policy::Deferred);
    let section = &replayed.sections[0];
    let creates = lines.iter().filter(|line| line.contains("G->H") && line.contains("CREATE_INTERRUPT3")).count();
    assert_eq!(section.counts.message_errors as usize, creates, "{:?}", section.message_errors);
    assert!(section.message_errors.iter().all(|(_, text)| text.contains("form V3, ours is V2")));
}

#[test]
fn changed_bytes_of_the_hosts_messages_are_found() {
    // An interrupt that is deleted by another address than it was created with.
    assert_finds(
        &edited(FIRST_CREATE_REPLY, "0000e0fe", "0010e0fe"),
        &[],
        &[(FIRST_DELETE, "there is no such interrupt")],
    );
    // No kind of message.
    assert_finds(&edited(FIRST_LIST, "19004942", "99004942"), &[], &[(FIRST_LIST, "no known kind")]);
    // Cut short.
    assert_finds(
        &edited(
            FIRST_CREATE_REPLY,
            "len=24 : 00000000 00000000 00000100 00000000 0000e0fe 00000000",
            "len=4 : 00000000",
        ),
        &[],
        &[(FIRST_CREATE_REPLY, "does not parse")],
    );
}

#[test]
fn an_unknown_request_is_one_error() {
    assert_finds(&edited(D0_ENTRY, "07004942", "77004942"), &[], &[(D0_ENTRY, "no known kind")]);
}

#[test]
fn a_completion_out_of_nowhere_is_one_error() {
    let mut lines = lines();
    lines.push("00500 9.0 [3f5ae738] H->G desc(type=11/completion flags=0 txid=0x9) SUCCESS len=4 : 00000000".into());
    assert_finds(&lines, &[], &[(lines.len(), "not open")]);
}

#[test]
fn a_changed_value_is_one_mismatch() {
    // The capability pointer, of which the device model has no other evidence at that place than the reads themselves.
    let reads: Vec<usize> =
        (1..).zip(lines()).filter(|(_, l)| l.contains("RD off=0x004 len=2 -> 0006")).map(|(n, _)| n).collect();
    let line = *reads.last().unwrap();
    let replayed = replayed(&edited(line, "-> 0006", "-> 0004").join("\n"), Policy::Deferred);
    let section = &replayed.sections[0];
    assert_eq!((section.counts.mismatches, section.mismatches[0].line), (1, line));
    assert_eq!((section.mismatches[0].recorded, section.mismatches[0].answered), (4, 6));
}
