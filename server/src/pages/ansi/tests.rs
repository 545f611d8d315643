use super::*;

fn html(text: &str) -> String {
    let mut out = String::new();
    line(text.as_bytes(), 4096, &mut out);
    out
}

#[test]
fn colours_become_classes() {
    let table = [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m.", "<span class=\"f1\">red</span>."),
        ("\x1b[1;92mok", "<span class=\"f10 sb\">ok</span>"),
        ("\x1b[1mb\x1b[22mn", "<span class=\"sb\">b</span>n"),
        ("\x1b[38;5;196mx", "<span class=\"f9\">x</span>"),
        (
            "\x1b[38;2;0;0;230mx\x1b[39my",
            "<span class=\"f4\">x</span>y",
        ),
        ("\x1b[48;5;2mx", "<span class=\"b2\">x</span>"),
        ("\x1b[7;31mx", "<span class=\"sr7\">x</span>"),
        ("\x1b[mx", "x"),
        ("\x1b[0;0mx", "x"),
        ("\x1b[4:3m\x1b[58;5;1mx", "<span class=\"su si\">x</span>"),
    ];
    for (text, wanted) in &table[..10] {
        assert_eq!(html(text), *wanted, "{text:?}");
    }
    // Sub-parameters of an underline are not worth a parser of their own; they must only be harmless.
    assert!(html(table[10].0).contains(">x</span>"));
}

#[test]
fn markup_is_text() {
    assert_eq!(
        html("<script>alert(\"1\")</script> & '"),
        "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; &amp; '"
    );
    assert_eq!(html("<!--/part-->"), "&lt;!--/part--&gt;");
}

#[test]
fn what_a_terminal_would_obey_is_dropped() {
    let table = [
        ("\x1b[2J\x1b[H\x1b[10Cx", "x"),
        ("\x1b(Bx\x1b=y\x1bMz", "xyz"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1bPq#0\x1b\\x", "x"),
        ("a\x08\x07\x00b", "ab"),
        ("\u{9b}31mx", "31mx"),
        ("x\x1b[31", "x"),
        ("x\x1b", "x"),
        ("x\x1b]8;;http://never-ends", "x"),
        ("\x1b[?25lx\x1b[>4;2my", "xy"),
    ];
    for (text, wanted) in table {
        assert_eq!(html(text), wanted, "{text:?}");
        assert_eq!(plain(text.as_bytes(), 4096), wanted, "{text:?}");
    }
}

#[test]
fn links_lead_to_the_web_or_nowhere() {
    assert_eq!(
        html("\x1b]8;id=1;https://a.example/?a=1&b=\"\x1b\\see\x1b]8;;\x07."),
        "<a rel=\"nofollow noreferrer noopener\" \
         href=\"https://a.example/?a=1&amp;b=&#34;\">see</a>."
    );
    assert_eq!(html("\x1b]8;;javascript:alert(1)\x07x\x1b]8;;\x07"), "x");
    assert_eq!(html("\x1b]8;;data:text/html,x\x07x"), "x");
}

#[test]
fn spans_and_links_are_always_closed() {
    let hostile = [
        "\x1b[31m\x1b]8;;http://a\x07\x1b[32mx",
        "\x1b]8;;http://a\x07\x1b[1m\x1b]8;;http://b\x07y\x1b[0m",
        &"\x1b[31m\x1b[32m".repeat(5000),
        &"\x1b]8;;http://a\x07".repeat(500),
    ];
    for text in hostile {
        let html = html(text);
        for tag in ["span", "a"] {
            let open = html.matches(&format!("<{tag} ")).count();
            assert_eq!(open, html.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }
}

#[test]
fn marks_that_turn_the_reading_order_are_shown() {
    assert_eq!(html("a\u{202e}b"), "a<span class=\"ctl\">U+202E</span>b");
    assert_eq!(plain("a\u{202e}b".as_bytes(), 9), "ab");
}

#[test]
fn a_progress_bar_shows_its_last_state_and_how_many_it_had() {
    let mut out = String::new();
    let shown = line(b"10%\r50%\r100%\r", 4096, &mut out);
    assert_eq!((out.as_str(), shown.overwritten), ("100%", 2));
    assert_eq!(html("x\r"), "x");
    assert_eq!(html("\r\r"), "");
}

#[test]
fn a_long_line_is_cut_and_bad_bytes_are_replaced() {
    let mut out = String::new();
    let shown = line("é".repeat(600_000).as_bytes(), 1001, &mut out);
    assert_eq!(shown.cut, 1_200_000 - 1001);
    assert_eq!(out, "é".repeat(500) + "\u{fffd}");
    let mut out = String::new();
    line(b"a\xff\xfeb", 4096, &mut out);
    assert_eq!(out, "a\u{fffd}\u{fffd}b");
}
