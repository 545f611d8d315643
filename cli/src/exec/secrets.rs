//! Secrets for a run here. Their values never stand in an argument, which every process can read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use pipelines::names::SecretName;

/// A secret, and where its value is.
#[derive(Debug, Clone)]
pub(crate) struct SecretArg {
    name: SecretName,
    /// None: in the environment.
    file: Option<PathBuf>,
}

impl FromStr for SecretArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, from) = match text.split_once('=') {
            Some((name, from)) => (name, Some(from)),
            None => (text, None),
        };
        let name = name.parse().map_err(|error| format!("{error}"))?;
        let file = match from {
            None => None,
            Some(from) => Some(from.strip_prefix('@').ok_or(
                "a value in an argument can be read by every process: \
                 set the variable of the name in upper case, or give NAME=@FILE",
            )?),
        };
        Ok(Self {
            name,
            file: file.map(PathBuf::from),
        })
    }
}

/// Their values.
pub(super) fn read(args: &[SecretArg]) -> Result<BTreeMap<SecretName, String>, String> {
    let mut values = BTreeMap::new();
    for SecretArg { name, file } in args {
        let value = match file {
            Some(file) => {
                let text = std::fs::read_to_string(file);
                let text = text.map_err(|error| {
                    format!(
                        "cannot read the secret `{name}` at {}: {error}",
                        file.display()
                    )
                })?;
                // The last line end of a file is the editor's.
                text.strip_suffix('\n').unwrap_or(&text).to_owned()
            }
            None => {
                let variable = name.variable();
                std::env::var(&variable).map_err(|_| {
                    format!("cannot give the secret `{name}`: the variable {variable} is not set")
                })?
            }
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_an_argument_is_refused() {
        let refused = ["npm_token", "npm_token=@file", "npm_token=hunter2"]
            .map(|text| text.parse::<SecretArg>().is_err());
        assert_eq!(refused, [false, false, true]);
    }
}
