//! How large a plan may be.

use super::*;
use crate::limits::PLAN_BYTES_MAX;

/// A pipeline that says an input in each of its steps.
fn repeated(jobs: usize, steps: usize) -> String {
    let steps = vec!["z"; steps].join(", ");
    let job = |number| format!("  j{number}: {{ image: x, steps: [{steps}] }}\n");
    let jobs: String = (0..jobs).map(job).collect();
    format!("on: {{ manual: {{ inputs: {{ text: }} }} }}\njobs:\n{jobs}")
}

fn said(text: &str, input: &str) -> Result<usize, String> {
    let event = GitEvent {
        inputs: [("text".to_owned(), input.to_owned())].into(),
        ..manual("main")
    };
    match planned(text, &event, &ChangedPaths::Unknown)? {
        Planned::Run(plan) => Ok(serde_json::to_string(&plan).unwrap().len()),
        Planned::NotTriggered(reason) => Err(reason),
    }
}

#[test]
fn a_plan_that_inputs_make_too_large_is_refused_before_it_is_made() {
    let text = repeated(100, 200);
    assert!(said(&text, "short").is_ok());
    insta::assert_snapshot!(said(&text, &"x".repeat(4096)).unwrap_err(), @"12:3: with this job the plan has more than 8388608 bytes, which is the limit (each step holds the `env`, the matrix values and the inputs of its job)");
}

#[test]
fn a_plan_that_the_gaps_of_one_value_make_too_large_is_refused() {
    let gaps = "${{ inputs.text }}".repeat(3000);
    let text = repeated(1, 1).replace("image: x", &format!("image: x, env: {{ A: '{gaps}' }}"));
    assert!(said(&text, "short").is_ok());
    assert!(said(&text, &"x".repeat(4096)).is_err());
}

#[test]
fn what_a_plan_is_measured_to_have_is_about_what_it_has() {
    // Just within the bound, a plan is not far larger than the bound.
    for (jobs, steps) in [(10, 180), (450, 4), (1, 200)] {
        let text = repeated(jobs, steps);
        for input in ["", &"x".repeat(100), &"x".repeat(4000)] {
            if let Ok(bytes) = said(&text, input) {
                assert!(bytes <= PLAN_BYTES_MAX + PLAN_BYTES_MAX / 4, "{bytes}");
            }
        }
    }
}
