//! Rules of the templates: the security policy forbids styles and scripts within a page.

use std::path::Path;

fn templates() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates");
    let files = std::fs::read_dir(folder).unwrap();
    let html = files.filter_map(|file| {
        let path = file.unwrap().path();
        let name = path.file_name()?.to_str()?.to_owned();
        name.ends_with(".html")
            .then(|| (name, std::fs::read_to_string(path).unwrap()))
    });
    html.collect()
}

#[test]
fn no_template_holds_a_style_or_a_script() {
    for (name, text) in templates() {
        for forbidden in [
            " style=",
            "<style",
            " onclick",
            " onload",
            " onerror",
            "javascript:",
        ] {
            assert!(!text.contains(forbidden), "{name} has `{forbidden}`");
        }
        for script in text.split("<script").skip(1) {
            assert!(
                script.contains("></script>"),
                "{name} has a script within it"
            );
        }
    }
}

#[test]
fn every_form_that_changes_something_carries_the_sessions_mark() {
    for (name, text) in templates() {
        for form in text.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap();
            if form.contains("method=\"post\"") && name != "login.html" {
                assert!(form.contains("name=\"csrf\""), "{name}: {form}");
            }
        }
    }
}

#[test]
fn every_part_can_be_named_and_swapped() {
    for (name, text) in templates() {
        assert_eq!(
            text.matches("<!--part-->").count(),
            text.matches("<!--/part-->").count()
        );
        for part in text.split("<!--part-->").skip(1) {
            let tag = part.split_once('>').unwrap().0;
            assert!(
                tag.contains(" id=\"") && tag.contains("data-v=\"\""),
                "{name}: {tag}"
            );
        }
    }
}
