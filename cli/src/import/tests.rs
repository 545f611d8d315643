use super::*;

#[test]
fn the_root_is_above_the_folders_that_systems_look_into() {
    let table = [
        ("/nowhere/.github/workflows/ci.yml", "/nowhere"),
        ("/nowhere/.woodpecker/test.yml", "/nowhere"),
        ("/nowhere/.travis.yml", "/nowhere"),
        ("/nowhere/ci/Jenkinsfile", "/nowhere/ci"),
    ];
    let found = table.map(|(file, _)| root_of(Path::new(file)));
    assert_eq!(found, table.map(|(_, root)| PathBuf::from(root)));
}

#[test]
fn where_it_was_written_is_said_as_a_person_would() {
    let here = std::env::current_dir().unwrap();
    let found = [
        said(Path::new("-")),
        said(&here.join(".seaworthy/ci.yml")),
        said(Path::new("/nowhere/x.yml")),
    ];
    assert_eq!(
        found,
        ["standard output", ".seaworthy/ci.yml", "/nowhere/x.yml"]
    );
}
