//! How secrets reach a step: through its standard input, into the memory of its container.
//!
//! The container is made with a small script in front of the step's own. It reads the secrets from
//! standard input, writes each to a file below [`FOLDER`], which is a tmpfs, exports the variables,
//! and becomes a shell with the step's script and an empty standard input. So they are in no
//! argument, in nothing the engine keeps or shows of a container, and on no disk.

use std::collections::HashMap;
use std::fmt::Write as _;

use bollard::models::ContainerCreateBody;
use secrecy::{ExposeSecret as _, SecretString};

use crate::engine::{EngineError, StepSecret};

/// Where a step finds its secrets.
const FOLDER: &str = "/run/secrets";
/// Any user of the image may write, only the writer may read; nothing in it can be run.
const MOUNT: &str = "rw,noexec,nosuid,nodev,mode=1777,size=8m";

/// How the container ends when it was left without the secrets. A script may end so, too: it is
/// believed only when nobody knows whether they were handed over.
pub(super) const NOT_HANDED_OVER: i64 = 121;

/// Only words that are built into every shell: an image may have nothing else.
///
/// It reads lines `NAME VARIABLE COUNT`, each followed by COUNT lines of the value, up to a dot.
const PROLOGUE: &str = r#"seaworthy_umask=$(umask)
umask 0377
while :; do
  IFS=' ' read -r seaworthy_name seaworthy_variable seaworthy_count || seaworthy_name=
  [ "$seaworthy_name" = . ] && break
  seaworthy_value= seaworthy_end=
  while [ "${seaworthy_count:-0}" -gt 0 ]; do
    IFS= read -r seaworthy_line || seaworthy_name=
    seaworthy_value=$seaworthy_value$seaworthy_end$seaworthy_line
    seaworthy_end='
'
    seaworthy_count=$((seaworthy_count-1))
  done
  if [ -z "$seaworthy_name" ]; then echo 'the secrets of this step did not arrive' >&2; exit 121; fi
  printf '%s' "$seaworthy_value" > "/run/secrets/$seaworthy_name"
  export "$seaworthy_variable=$seaworthy_value"
done
umask "$seaworthy_umask"
unset seaworthy_umask seaworthy_name seaworthy_variable seaworthy_count seaworthy_value seaworthy_end seaworthy_line
exec /bin/sh -e -c "$1" < /dev/null"#;

/// Makes a step's container one that waits for secrets.
pub(super) fn prepare(body: &mut ContainerCreateBody) {
    let script = body.cmd.take().unwrap_or_default();
    let mut cmd = vec![PROLOGUE.to_owned(), "sh".to_owned()];
    cmd.extend(script);
    body.cmd = Some(cmd);
    body.attach_stdin = Some(true);
    body.open_stdin = Some(true);
    // Its standard input ends with the call that brings the secrets.
    body.stdin_once = Some(true);
    if let Some(host) = &mut body.host_config {
        host.tmpfs = Some(HashMap::from([(FOLDER.to_owned(), MOUNT.to_owned())]));
    }
}

/// What the prologue reads.
pub(super) fn message(secrets: &[StepSecret]) -> Result<SecretString, EngineError> {
    // As much as it can become, so that it never moves and leaves a copy behind.
    let length: usize = secrets
        .iter()
        .map(|secret| secret.value.expose_secret().len() + 2 * secret.name.as_str().len() + 32)
        .sum();
    let mut message = String::with_capacity(length + 2);
    for secret in secrets {
        let value = secret.value.expose_secret();
        if value.contains('\0') {
            return Err(EngineError::Work(format!(
                "the secret `{}` has a NUL byte in it: a variable cannot hold it",
                secret.name
            )));
        }
        let (name, variable) = (&secret.name, secret.variable());
        let lines = value.split('\n').count();
        // Writing to a text cannot fail.
        let _ = writeln!(message, "{name} {variable} {lines}\n{value}");
    }
    message.push_str(".\n");
    Ok(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_counts_the_lines_of_each_value() {
        let secret = |name: &str, value: &str| StepSecret {
            name: name.parse().unwrap(),
            value: value.into(),
        };
        let secrets = [
            secret("a", "one"),
            secret("b_c", "two\nthree\n"),
            secret("d", ""),
        ];
        let message = message(&secrets).unwrap();
        let expected = "a A 1\none\nb_c B_C 3\ntwo\nthree\n\nd D 1\n\n.\n";
        assert_eq!(message.expose_secret(), expected);
    }
}
