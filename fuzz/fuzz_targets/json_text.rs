//! Arbitrary text: an answer or an error, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(answers) = feasible_json::answer(text) {
        assert!(!answers.json.is_null());
    }
});
