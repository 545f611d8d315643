//! The paths that caches keep, as they are in the steps' containers.

use pipelines::plan::Cache;

use crate::engine::docker::WORKSPACE;

/// These paths, absolute; none of them within another.
pub(crate) fn roots(paths: &[String]) -> Vec<String> {
    let absolute = |path: &String| {
        let is_absolute = path.starts_with('/');
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let is_plain = !parts.is_empty() && !parts.iter().any(|part| [".", ".."].contains(part));
        let start = if is_absolute { "" } else { WORKSPACE };
        is_plain.then(|| format!("{start}/{}", parts.join("/")))
    };
    let mut all: Vec<String> = paths.iter().filter_map(absolute).collect();
    all.sort();
    outermost(all)
}

/// The volumes that a job needs for its caches: what they keep outside of the workspace.
pub(crate) fn volumes(caches: &[Cache]) -> Vec<String> {
    let paths: Vec<String> = caches
        .iter()
        .flat_map(|cache| cache.paths.clone())
        .collect();
    let mut roots = roots(&paths);
    roots.retain(|root| !is_within(root, WORKSPACE));
    roots
}

/// Leaves out what is within another; `paths` are sorted.
pub(crate) fn outermost(paths: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for path in paths {
        if !kept.iter().any(|outer| is_within(&path, outer)) {
            kept.push(path);
        }
    }
    kept
}

fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_within_another_is_kept_with_it() {
        let paths = [
            "target",
            "/usr/local/cargo/registry/",
            "/usr/local/cargo",
            "a//b",
            "/workspace/a",
            "../x",
            "/usr/local/cargo-extra",
        ];
        let cache = Cache {
            prefix: String::new(),
            files: Vec::new(),
            paths: paths.map(str::to_owned).into(),
        };
        let all = roots(&cache.paths);
        let expected = [
            "/usr/local/cargo",
            "/usr/local/cargo-extra",
            "/workspace/a",
            "/workspace/target",
        ];
        assert_eq!(
            (all.as_slice(), volumes(&[cache]).as_slice()),
            (
                &expected.map(str::to_owned)[..],
                &expected[..2]
                    .iter()
                    .map(|path| (*path).to_owned())
                    .collect::<Vec<_>>()[..]
            )
        );
    }
}
