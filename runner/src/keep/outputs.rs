//! Outputs: small files of the workspace, as text for later jobs.

use std::collections::BTreeMap;
use std::io::{self, Read};

use pipelines::limits::OUTPUT_BYTES_MAX;

use super::Keeper;
use crate::archive;
use crate::engine::Engine;
use crate::engine::docker::WORKSPACE;
use crate::report::Finish;

/// Reads all outputs; the first that is not there as it should be fails the job.
pub(super) async fn read<E: Engine>(
    keeper: &Keeper<'_, E>,
) -> Result<BTreeMap<String, String>, Finish> {
    let mut outputs = BTreeMap::new();
    for (name, path) in &keeper.work.outputs {
        let failed = |why: &str| Finish::failed(format!("output `{name}`: {why}"));
        let absolute = format!("{WORKSPACE}/{path}");
        let files = keeper.engine.read_files(keeper.key, &absolute).await?;
        let Some(files) = files else {
            return Err(failed(&format!("the steps have made no file `{path}`")));
        };
        let text = match archive::consume(files, first_file).await {
            Ok(text) => text.map_err(|why| failed(&format!("`{path}` {why}")))?,
            Err(error) => {
                let text = format!("cannot read `{path}` from the workspace: {error}");
                return Err(Finish::infrastructure(text));
            }
        };
        if keeper.job.log.masks().text(&text) != text {
            let why = format!("`{path}` has a secret in it, and outputs are shown to people");
            return Err(failed(&why));
        }
        outputs.insert(name.clone(), text);
    }
    Ok(outputs)
}

/// The text of the file that an archive begins with, or what is wrong with it.
fn first_file(reader: impl Read) -> io::Result<Result<String, String>> {
    let mut archive = tar::Archive::new(reader);
    let Some(entry) = archive.entries()?.next() else {
        return Ok(Err("is not there".into()));
    };
    let entry = entry?;
    if !entry.header().entry_type().is_file() {
        return Ok(Err("is not a file".into()));
    }
    let mut bytes = Vec::new();
    entry
        .take(OUTPUT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > OUTPUT_BYTES_MAX {
        let max = OUTPUT_BYTES_MAX / 1024;
        return Ok(Err(format!("is larger than {max} KiB")));
    }
    Ok(String::from_utf8(bytes)
        .map(|text| match text.strip_suffix('\n') {
            Some(line) => line.strip_suffix('\r').unwrap_or(line).to_owned(),
            None => text,
        })
        .map_err(|_| "is not text in UTF-8".into()))
}
