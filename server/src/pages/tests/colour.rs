//! The tokens of the style sheet, computed: text is readable on both grounds, and statuses can be
//! told apart by people who see fewer colours. Shape and word come first; colour must still not lie.

use std::collections::BTreeMap;

use crate::pages::words::Family;

const STYLE: &str = include_str!("../../../../templates/static/style.css");

const FAMILIES: [Family; 5] = [
    Family::Passed,
    Family::Failed,
    Family::Active,
    Family::Attention,
    Family::Neutral,
];

type Rgb = [f64; 3];
type Lab = [f64; 3];

/// The tokens of the light theme, or of the dark one.
fn tokens(dark: bool) -> BTreeMap<String, Rgb> {
    let (light, rest) = STYLE
        .split_once("@media (prefers-color-scheme: dark)")
        .unwrap();
    let text = if dark {
        rest.split_once("}\n}").unwrap().0
    } else {
        light
    };
    let declarations = text.split([';', '{']).filter_map(|line| {
        let (name, value) = line.trim().strip_prefix("--")?.split_once(": #")?;
        let byte = |at: usize| u8::from_str_radix(value.get(at..at + 2)?, 16).ok();
        let part = |at| byte(at).map(|byte| f64::from(byte) / 255.0);
        Some((name.to_owned(), [part(0)?, part(2)?, part(4)?]))
    });
    declarations.collect()
}

fn linear(part: f64) -> f64 {
    if part <= 0.04045 {
        part / 12.92
    } else {
        ((part + 0.055) / 1.055).powf(2.4)
    }
}

fn luminance(colour: Rgb) -> f64 {
    let [r, g, b] = colour.map(linear);
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn contrast(one: Rgb, two: Rgb) -> f64 {
    let (a, b) = (luminance(one), luminance(two));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn every_text_is_readable_on_page_and_panel() {
    for dark in [false, true] {
        let tokens = tokens(dark);
        let families = FAMILIES.map(|family| family.as_str().to_owned());
        let palette = (0..16).map(|n| format!("a{n}"));
        let texts = families
            .into_iter()
            .chain(palette)
            .chain(["text", "muted", "link"].map(str::to_owned));
        for text in texts {
            for ground in ["page", "panel"] {
                let found = contrast(tokens[&text], tokens[ground]);
                assert!(found >= 4.5, "{text} on {ground}, dark {dark}: {found:.2}");
            }
        }
        for text in ["text", "failed", "link"] {
            let found = contrast(tokens[text], tokens["tint"]);
            assert!(found >= 4.5, "{text} on tint, dark {dark}: {found:.2}");
        }
        assert!(contrast(tokens["control"], tokens["page"]) >= 3.0);
    }
}

/// How colours are seen without one kind of cone (Machado and others, 2009, in full).
const VISIONS: [[[f64; 3]; 3]; 4] = [
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
];

#[test]
fn statuses_can_be_told_apart_whatever_one_sees() {
    for dark in [false, true] {
        let tokens = tokens(dark);
        for (vision, matrix) in VISIONS.iter().enumerate() {
            for (place, one) in FAMILIES.iter().enumerate() {
                for two in &FAMILIES[place + 1..] {
                    let lab = |family: &Family| lab(seen(matrix, tokens[family.as_str()]));
                    let found = difference(lab(one), lab(two));
                    assert!(
                        found >= 15.0,
                        "{one:?} and {two:?}, dark {dark}, vision {vision}: {found:.1}"
                    );
                }
            }
        }
    }
}

fn seen(matrix: &[[f64; 3]; 3], colour: Rgb) -> Rgb {
    let light = colour.map(linear);
    let row = |row: &[f64; 3]| row.iter().zip(light).map(|(a, b)| a * b).sum::<f64>();
    matrix.each_ref().map(row).map(|part| part.clamp(0.0, 1.0))
}

/// From linear light to CIELAB under D65.
fn lab([r, g, b]: Rgb) -> Lab {
    let xyz = [
        (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047,
        0.2126729 * r + 0.7151522 * g + 0.0721750 * b,
        (0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883,
    ];
    let f = |t: f64| {
        if t > 0.008856 {
            t.cbrt()
        } else {
            7.787 * t + 16.0 / 116.0
        }
    };
    let [x, y, z] = xyz.map(f);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// CIEDE2000.
fn difference([l1, a1, b1]: Lab, [l2, a2, b2]: Lab) -> f64 {
    let chroma = f64::midpoint(a1.hypot(b1), a2.hypot(b2)).powi(7);
    let g = 0.5 * (1.0 - (chroma / (chroma + 25_f64.powi(7))).sqrt());
    let (a1, a2) = (a1 * (1.0 + g), a2 * (1.0 + g));
    let (c1, c2) = (a1.hypot(b1), a2.hypot(b2));
    let hue = |a: f64, b: f64| b.atan2(a).to_degrees().rem_euclid(360.0);
    let (h1, h2) = (hue(a1, b1), hue(a2, b2));
    let turn = (h2 - h1 + 540.0).rem_euclid(360.0) - 180.0;
    let dh = 2.0 * (c1 * c2).sqrt() * (turn / 2.0).to_radians().sin();
    let (l, c) = (f64::midpoint(l1, l2), f64::midpoint(c1, c2));
    let h = (h1 + turn / 2.0).rem_euclid(360.0);
    let cos = |degrees: f64| degrees.to_radians().cos();
    let t = 1.0 - 0.17 * cos(h - 30.0) + 0.24 * cos(2.0 * h) + 0.32 * cos(3.0 * h + 6.0)
        - 0.20 * cos(4.0 * h - 63.0);
    let sl = 1.0 + 0.015 * (l - 50.0).powi(2) / (20.0 + (l - 50.0).powi(2)).sqrt();
    let (sc, sh) = (1.0 + 0.045 * c, 1.0 + 0.015 * c * t);
    let rotation = 60.0 * (-((h - 275.0) / 25.0).powi(2)).exp();
    let rc = 2.0 * (c.powi(7) / (c.powi(7) + 25_f64.powi(7))).sqrt();
    let rt = -rotation.to_radians().sin() * rc;
    let (dl, dc, dh) = ((l2 - l1) / sl, (c2 - c1) / sc, dh / sh);
    (dl * dl + dc * dc + dh * dh + rt * dc * dh).sqrt()
}

#[test]
fn the_difference_is_the_published_one() {
    // Of the test data of Sharma, Wu and Dalal (2005).
    let table = [
        ([50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485], 2.0425),
        ([50.0, 2.5, 0.0], [73.0, 25.0, -18.0], 27.1492),
        (
            [2.0776, 0.0795, -1.1350],
            [0.9033, -0.0636, -0.5514],
            0.9082,
        ),
    ];
    for (one, two, wanted) in table {
        let found = difference(one, two);
        assert!((found - wanted).abs() < 0.0001, "{found} {wanted}");
    }
}
