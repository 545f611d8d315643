//! From 256 and 16 million colours to the 16 of the theme: the ones that are readable on the page,
//! light and dark, and the only ones the style sheet knows.

/// What the 16 mean, as xterm draws them: only to measure nearness.
const SIXTEEN: [[u8; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

/// The nearest of the 16.
pub(super) fn nearest(colour: [u8; 3]) -> u8 {
    let distance = |other: &[u8; 3]| -> i32 {
        let parts = colour.iter().zip(other);
        parts
            .map(|(a, b)| (i32::from(*a) - i32::from(*b)).pow(2))
            .sum()
    };
    let best = (0_u8..)
        .zip(&SIXTEEN)
        .min_by_key(|(_, other)| distance(other));
    best.map_or(7, |(index, _)| index)
}

/// One of xterm's 256: 16 of the theme, a cube of 6 × 6 × 6, 24 greys.
pub(super) fn of_256(index: u8) -> u8 {
    let step = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
    match index {
        0..=15 => index,
        16..=231 => {
            let cube = index - 16;
            nearest([step(cube / 36), step(cube / 6 % 6), step(cube % 6)])
        }
        232..=255 => nearest([8 + 10 * (index - 232); 3]),
    }
}
