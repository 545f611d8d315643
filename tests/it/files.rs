//! Small pipeline files for stories.

use anyhow::Result;
use tests::engines;

/// Where a story's only pipeline file lies.
pub(crate) const FILE: &str = ".seaworthy/ci.yml";

/// One job `work` with these steps, each the text of a script.
pub(crate) fn steps(scripts: &[&str]) -> Result<String> {
    Ok(format!(
        "on: {{ push: {{}}, pull_request: {{}} }}\njobs:\n{}",
        job("work", "", scripts)?
    ))
}

/// A job of steps, to be put under `jobs:`; `more` are further keys of it, one per line.
pub(crate) fn job(name: &str, more: &str, scripts: &[&str]) -> Result<String> {
    let image = engines::busybox().unwrap_or("any".to_owned());
    let mut text = format!("  {name}:\n    image: {image}\n");
    more.lines()
        .for_each(|line| text.push_str(&format!("    {line}\n")));
    text.push_str("    steps:\n");
    for (number, script) in scripts.iter().enumerate() {
        text.push_str(&format!(
            "      - name: step {}\n        run: |\n",
            number + 1
        ));
        script
            .lines()
            .for_each(|line| text.push_str(&format!("          {line}\n")));
    }
    Ok(text)
}
