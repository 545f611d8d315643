//! The checks of the fuzz targets, with a bounded number of damaged files: the same in every run.

#[path = "../../fuzz/checks.rs"]
mod checks;

const FILES: [&str; 8] = [
    include_str!("../src/definition/tests/accepted.yml"),
    include_str!("../examples/rust-service.yml"),
    include_str!("../examples/python-service.yml"),
    include_str!("../examples/java-service.yml"),
    include_str!("../examples/monorepo.yml"),
    include_str!("../examples/matrix.yml"),
    include_str!("../examples/schedule.yml"),
    include_str!("../examples/canary.yml"),
];

/// Pieces that mean something, to the parser or to us.
const PIECES: [&str; 16] = [
    "\n",
    "  ",
    ": ",
    "- ",
    "[",
    "]",
    "{ }",
    "&a ",
    "*a",
    "<<: ",
    "!!x ",
    "${{ branch }}",
    "${{ matrix.x }}",
    "needs: [a]",
    "~",
    "\u{feff}",
];

/// Numbers that look as if by chance, the same for the same seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// A good file with a few lines left out, said twice or swapped, and a few pieces put in.
fn damaged(seed: u64) -> String {
    let mut numbers = Numbers(seed);
    let text = FILES[numbers.below(FILES.len())];
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..numbers.below(3) {
        let (at, other) = (numbers.below(lines.len()), numbers.below(lines.len()));
        match numbers.below(3) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[other].clone()),
            _ => lines.swap(at, other),
        }
    }
    let mut text: Vec<char> = lines.join("\n").chars().collect();
    for _ in 0..numbers.below(3) {
        let at = numbers.below(text.len());
        let end = (at + numbers.below(4)).min(text.len());
        let piece = PIECES[numbers.below(PIECES.len())];
        text.splice(at..end, piece.chars());
    }
    text.into_iter().collect()
}

#[test]
fn damaged_files_are_answered_and_planned_soundly() {
    for seed in 0..300 {
        let text = damaged(seed);
        checks::parse(&text);
        checks::plan(&text);
    }
}
