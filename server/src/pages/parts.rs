//! The parts of a page that change: each stands in the template between `<!--part-->` and
//! `<!--/part-->`, has an `id` and an empty `data-v`, and is served alone by `?part=ID,…`.
//!
//! The page is always rendered whole and then cut. One renderer and one set of facts make the part
//! and the page the same by construction; rendering the rest costs less than a second query would.

const OPEN: &str = "<!--part-->";
const CLOSE: &str = "<!--/part-->";
const VERSION: &str = "data-v=\"\"";

/// The page, each part with the version of what it shows; or of it, if `wanted` is given, only the
/// title, the icon and the parts of these names.
pub(crate) fn assemble(html: &str, wanted: Option<&str>) -> String {
    let mut out = String::with_capacity(if wanted.is_some() { 4096 } else { html.len() });
    if wanted.is_some() {
        out.push_str(head(html));
    }
    let mut rest = html;
    while let Some((before, part, after)) = next(rest) {
        let id = attribute(part, "id=\"").unwrap_or_default();
        let keep = wanted.is_none_or(|wanted| wanted.split(',').any(|name| name == id));
        if wanted.is_none() {
            out.push_str(before);
        }
        if keep {
            let version = format!("data-v=\"{}\"", fingerprint(steady(part).as_bytes()));
            out.push_str(&part.replacen(VERSION, &version, 1));
        }
        rest = after;
    }
    if wanted.is_none() {
        out.push_str(rest);
    }
    out
}

/// The part without what passes by itself: a duration that runs on is no news.
fn steady(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    let mut rest = part;
    while let Some((before, span)) = rest.split_once("<span class=\"dur\"") {
        out.push_str(before);
        rest = span.split_once("</span>").map_or("", |(_, after)| after);
    }
    out + rest
}

/// What came before the next part, the part, and what follows it.
fn next(html: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = html.split_once(OPEN)?;
    let (part, after) = rest.split_once(CLOSE)?;
    Some((before, part, after))
}

/// The title and the icon: they change with the parts.
fn head(html: &str) -> &str {
    let start = html.find("<title>");
    let end = html.find("<!--/head-->");
    match (start, end) {
        (Some(start), Some(end)) if start < end => &html[start..end],
        _ => "",
    }
}

fn attribute<'a>(html: &'a str, name: &str) -> Option<&'a str> {
    html.split_once(name)?
        .1
        .split_once('"')
        .map(|(value, _)| value)
}

/// A short name for some bytes (FNV-1a, 64 bits): to see change, not to withstand malice.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<title>T</title><link rel=icon><!--/head-->a<!--part--><b id=\"one\" \
        data-v=\"\">1</b><!--/part-->c<!--part--><i id=\"two\" data-v=\"\">2</i><!--/part-->d";

    #[test]
    fn a_whole_page_keeps_its_parts_in_place_with_versions() {
        let html = assemble(PAGE, None);
        assert!(html.contains(">1</b>c<i id=\"two\" data-v=\""), "{html}");
        assert!(!html.contains(VERSION) && !html.contains("part-->"));
    }

    #[test]
    fn wanted_parts_come_with_the_head_and_nothing_else() {
        let html = assemble(PAGE, Some("two,none"));
        assert!(html.starts_with("<title>T</title><link rel=icon><i id=\"two\" data-v=\""));
        assert!(html.ends_with(">2</i>"));
        assert_eq!(
            assemble(PAGE, Some("none")),
            "<title>T</title><link rel=icon>"
        );
    }

    #[test]
    fn a_duration_that_runs_on_is_no_news() {
        let page =
            |took: &str| PAGE.replace(">1<", &format!("><span class=\"dur\">{took}</span>1<"));
        let version =
            |page: &str| attribute(&assemble(page, Some("one")), "data-v=\"").map(str::to_owned);
        assert_eq!(version(&page("1 s")), version(&page("2 s")));
        assert_ne!(
            version(&page("1 s")),
            version(&page("1 s").replace("1<", "2<"))
        );
    }

    #[test]
    fn a_version_changes_with_what_is_shown() {
        let other = PAGE.replace(">1<", ">9<");
        assert_ne!(assemble(PAGE, Some("one")), assemble(&other, Some("one")));
        assert_eq!(assemble(PAGE, Some("two")), assemble(&other, Some("two")));
    }
}
