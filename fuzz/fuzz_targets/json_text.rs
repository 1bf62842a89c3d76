//! Arbitrary text under any settings: an answer or an error, never a panic.
#![no_main]

mod options;

use libfuzzer_sys::fuzz_target;
use options::Choice;

fuzz_target!(|input: (Choice, &str)| {
    let (Choice(options), text) = input;
    if let Ok(answers) = feasible_json::answer_with(text, &options) {
        assert!(!answers.json.is_null());
    }
});
