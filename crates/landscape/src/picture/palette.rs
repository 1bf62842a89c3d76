//! Colours that the colour-blind tell apart.

/// Anchors of viridis (van der Walt & Smith, CC0), evenly spaced: even in lightness, and ordered for
/// every kind of colour vision and in grey.
const VIRIDIS: [[f64; 3]; 9] = [
    [68.0, 1.0, 84.0],
    [71.0, 44.0, 122.0],
    [59.0, 81.0, 139.0],
    [44.0, 113.0, 142.0],
    [33.0, 144.0, 141.0],
    [39.0, 173.0, 129.0],
    [92.0, 200.0, 99.0],
    [170.0, 220.0, 50.0],
    [253.0, 231.0, 37.0],
];

/// Okabe & Ito 2008, without the yellow that white paper swallows.
const CATEGORIES: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
];

/// Dashes, so that lines differ without colour.
const DASHES: [&str; 4] = ["", "7 3", "2 3", "9 3 2 3"];

/// The colour of a share between 0 and 1.
pub(super) fn sequential(share: f64) -> String {
    let last = VIRIDIS.len() - 1;
    let position = share.clamp(0.0, 1.0) * last as f64;
    let below = (position.floor() as usize).min(last - 1);
    let t = position - below as f64;
    let [r, g, b] = [0, 1, 2].map(|k| {
        let mixed = (1.0 - t) * VIRIDIS[below][k] + t * VIRIDIS[below + 1][k];
        mixed.round() as u8
    });
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// The colour of the line of this number.
pub(super) fn category(index: usize) -> &'static str {
    CATEGORIES[index % CATEGORIES.len()]
}

/// Its dashes: a whole line first.
pub(super) fn dashes(index: usize) -> &'static str {
    DASHES[index % DASHES.len()]
}
