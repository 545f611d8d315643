//! Whatever the bytes, there is an answer, and every place in it is inside the file.

use super::*;
use crate::environment::Environments;
use proptest::prelude::*;

const FILES: [&str; 6] = [
    include_str!("../../../examples/service.yml"),
    include_str!("../../../examples/deploy.yml"),
    include_str!("../../../examples/promote.yml"),
    include_str!("../../../examples/environments.yml"),
    include_str!("../../../examples/canary.yml"),
    include_str!("accepted.yml"),
];

fn check(text: &str) {
    let results = [
        Definition::parse(text).map(drop),
        Environments::parse(text).map(drop),
    ];
    for problems in results.into_iter().filter_map(Result::err) {
        assert!(!problems.is_empty() && problems.len() <= 100);
        let lines = text.split(['\n', '\r']).count();
        for problem in problems {
            let line = problem.line as usize;
            assert!(
                line >= 1 && line <= lines.max(1),
                "{problem:?} of {lines} lines"
            );
            assert!(problem.column >= 1 && !problem.message.is_empty());
            assert!(problem.text.chars().count() <= 61 && !problem.text.contains('\n'));
        }
    }
}

/// Pieces that mean something to the parser or to us.
const PIECES: [&str; 24] = [
    "\n",
    "  ",
    "\t",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "|",
    ">",
    "&a ",
    "*a",
    "!!x ",
    "#",
    "${{ branch }}",
    "<<: ",
    "---\n",
    "%x\n",
    "needs: [a]",
    "\u{feff}",
    "\r",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_pieces_are_answered(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        check(&pieces.concat());
    }

    #[test]
    fn damaged_good_files_are_answered(
        file in 0..FILES.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..6_usize, prop::sample::select(&PIECES[..])), 1..6),
    ) {
        let mut text: Vec<char> = FILES[file].chars().collect();
        for (at, cut, piece) in damage {
            let at = at.index(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, piece.chars());
        }
        check(&text.into_iter().collect::<String>());
    }
}
