//! What a person gave along, checked against what the pipeline asks for.

use std::collections::BTreeMap;

use crate::definition::{Definition, Input, nearest};

/// Every declared input, with its default where nothing was given; or everything that is wrong, as
/// sentences. Inputs of an event that no person started are all defaults.
pub fn inputs(
    definition: &Definition,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Vec<String>> {
    let declared = definition.inputs().unwrap_or_default();
    let mut wrong = Vec::new();
    for name in given.keys() {
        let known = || declared.iter().map(|input| input.name.as_str());
        if !known().any(|known| known == name) {
            let hint = match (nearest(name, known()), declared.is_empty()) {
                (Some(near), _) => format!(": did you mean `{near}`?"),
                (None, true) => String::new(),
                (None, false) => {
                    let names: Vec<_> = known().collect();
                    format!(": known are {}", names.join(", "))
                }
            };
            wrong.push(format!("there is no input `{name}`{hint}"));
        }
    }
    let mut values = BTreeMap::new();
    for input in declared {
        match value(input, given.get(&input.name)) {
            Ok(value) => {
                values.insert(input.name.clone(), value);
            }
            Err(words) => wrong.push(words),
        }
    }
    match wrong.is_empty() {
        true => Ok(values),
        false => Err(wrong),
    }
}

/// The declared inputs of an event that nobody was asked for: their defaults, or nothing.
pub(super) fn defaults(definition: &Definition) -> BTreeMap<String, String> {
    let declared = definition.inputs().unwrap_or_default().iter();
    let pair = |input: &Input| {
        (
            input.name.clone(),
            input.default.clone().unwrap_or_default(),
        )
    };
    declared.map(pair).collect()
}

fn value(input: &Input, given: Option<&String>) -> Result<String, String> {
    let name = &input.name;
    match given.filter(|given| !given.is_empty()) {
        Some(given) => match input.kind.check(given) {
            Ok(()) => Ok(given.clone()),
            Err(words) => Err(format!("input `{name}`: {words}")),
        },
        None => match &input.default {
            Some(default) => Ok(default.clone()),
            None if input.required => Err(format!("input `{name}` is missing")),
            None => Ok(String::new()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_checked_and_filled() {
        let text = "
on:
  manual:
    inputs:
      reason: { required: true }
      size: { type: choice, options: [small, large], default: small }
      count: { type: number }
      dry: { type: boolean, default: false }
jobs: { a: { image: x, steps: [y] } }";
        let definition = Definition::parse(text).unwrap();
        let check = |given: &[(&str, &str)]| {
            let pair = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
            match inputs(&definition, &given.iter().map(pair).collect()) {
                Ok(values) => format!("{values:?}"),
                Err(wrong) => wrong.join("; "),
            }
        };
        let all = [
            check(&[("reason", "the auditor asks")]),
            check(&[("reason", ""), ("count", "many"), ("dry", "yes")]),
            check(&[("reason", "x"), ("sise", "large"), ("size", "huge")]),
            check(&[("reason", "two\nlines"), ("count", "-1.5e3")]),
        ];
        insta::assert_snapshot!(all.join("\n"));
    }
}
