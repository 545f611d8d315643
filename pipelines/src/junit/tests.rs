use std::fmt::Write as _;

use super::*;
use crate::limits::{JUNIT_DEPTH_MAX, TEST_MESSAGE_BYTES_MAX};

/// A report in short: the counts, then a line a test.
fn told(report: &TestReport) -> String {
    let mut told = format!(
        "{} passed, {} failed, {} skipped\n",
        report.passed, report.failed, report.skipped
    );
    for case in &report.cases {
        let (state, millis) = (case.state.as_str(), case.millis);
        let _ = writeln!(told, "{state} [{}] {} {millis} ms", case.suite, case.name);
        for line in case.message.iter().flat_map(|message| message.lines()) {
            let _ = writeln!(told, "  | {line}");
        }
    }
    told
}

fn sample(xml: &str) -> String {
    told(&parse(xml.as_bytes()).unwrap())
}

fn refusal(xml: &str) -> String {
    parse(xml.as_bytes()).unwrap_err().to_string()
}

#[test]
fn pytest() {
    insta::assert_snapshot!(sample(include_str!("samples/pytest.xml")), @r#"
    2 passed, 2 failed, 1 skipped
    failed [pytest / tests.test_cart.TestCart] test_total 12 ms
      | AssertionError: assert 41 == 42
      |  +  where 41 = total([<Item>])
      | self = <tests.test_cart.TestCart object at 0x7f>
      | 
      |     def test_total(self):
      | >       assert total(items) == 42
      | E       AssertionError: assert 41 == 42
      | E        +  where 41 = total([<Item>])
      | 
      | tests/test_cart.py:14: AssertionError
    failed [pytest / tests.test_db] test_query 100 ms
      | failed on setup with "ConnectionError"
      | E   ConnectionError: db:5432
    passed [pytest / tests.test_cart.TestCart] test_adds[2-3] 1 ms
    skipped [pytest / tests.test_cart] test_windows 0 ms
      | /workspace/tests/test_cart.py:20: only on Windows
    passed [pytest / tests.test_db] test_ping 20 ms
    "#);
}

#[test]
fn surefire() {
    insta::assert_snapshot!(sample(include_str!("samples/surefire.xml")), @r"
    2 passed, 1 failed, 1 skipped
    failed [com.acme.shop.CartTest] refusesNegative 34 ms
      | org.opentest4j.AssertionFailedError: expected: <400> but was: <200>
      | 	at com.acme.shop.CartTest.refusesNegative(CartTest.java:42)
    passed [com.acme.shop.CartTest] addsItems 1200500 ms
    skipped [com.acme.shop.CartTest] legacy 0 ms
      | not on this platform
    passed [com.acme.shop.CartTest] sometimes 200 ms
    ");
}

#[test]
fn go_junit_report() {
    insta::assert_snapshot!(sample(include_str!("samples/go-junit-report.xml")), @r"
    1 passed, 1 failed, 1 skipped
    failed [github.com/acme/shop/cart] TestTotal/with_tax 10 ms
      | Failed
      |     cart_test.go:31: total = 41, want 42
    passed [github.com/acme/shop/cart] TestAdd 0 ms
    skipped [github.com/acme/shop/cart] TestNetwork 0 ms
      | cart_test.go:40: short mode
    ");
}

#[test]
fn jest_junit() {
    insta::assert_snapshot!(sample(include_str!("samples/jest-junit.xml")), @r"
    1 passed, 1 failed, 0 skipped
    failed [cart totals] cart totals 5 ms
      | Error: expect(received).toBe(42)
      | 
      | Expected: 42
      | Received: 41
      |     at Object.toBe (/workspace/cart.test.js:9:17)
    passed [cart adds items] cart adds items 3 ms
    ");
}

#[test]
fn nextest() {
    insta::assert_snapshot!(sample(include_str!("samples/nextest.xml")), @r"
    2 passed, 1 failed, 0 skipped
    failed [shop] cart::tests::totals 11 ms
      | thread 'cart::tests::totals' panicked at src/cart.rs:50:9:
      | assertion `left == right` failed
      |   left: 41
      |  right: 42
    passed [shop] cart::tests::adds 7 ms
    passed [shop::http] serves 1400 ms
    ");
}

#[test]
fn nested_suites_name_their_tests_by_the_innermost() {
    let xml = "<testsuites><testsuite name='outer'><testsuite name='inner'>\
               <testcase name='a'/></testsuite><testcase name='b' classname='c'/></testsuite></testsuites>";
    insta::assert_snapshot!(sample(xml), @r"
    2 passed, 0 failed, 0 skipped
    passed [inner] a 0 ms
    passed [outer / c] b 0 ms
    ");
}

#[test]
fn what_was_not_run_is_skipped_and_strange_times_are_none() {
    let xml = "<testsuite><testcase name='a' status='notrun' time='NaN'/>\
               <testcase name='b' result='skipped' time='-1'/>\
               <testcase name='c' status='run' time='1e300'/><testcase name='d' time='x'/></testsuite>";
    insta::assert_snapshot!(sample(xml), @r"
    2 passed, 0 failed, 2 skipped
    skipped [] a 0 ms
    skipped [] b 0 ms
    passed [] c 86400000 ms
    passed [] d 0 ms
    ");
}

#[test]
fn what_is_no_report_is_refused_with_a_reason() {
    let deep = "<testsuites>".repeat(JUNIT_DEPTH_MAX + 1);
    let many: String = (0..100_000).map(|at| format!(" a{at}='x'")).collect();
    let many = format!("<testsuite{many}/>");
    let bomb = "<!DOCTYPE a [<!ENTITY a 'x'><!ENTITY b '&a;&a;&a;'>]><testsuite>&b;</testsuite>";
    let cases = [
        "",
        "no XML at all",
        "<html><body/></html>",
        "<testsuite><testcase name='a'>",
        "<testsuite></testsuites>",
        "<testsuite/><testsuite/>",
        "<testsuite><testcase><failure>&xxe;</failure></testcase></testsuite>",
        bomb,
        &deep,
        &many,
    ];
    insta::assert_snapshot!(cases.map(refusal).join("\n"), @r"
    it is empty
    it is empty
    its root is `html`, not `testsuites`
    it is not valid XML: it ends in the middle
    it is not valid XML: ill-formed document: expected `</testsuite>`, but `</testsuites>` was found
    it has more than one root
    it uses the unknown entity `&xxe;`
    it has a document type, and none is read
    its elements are nested deeper than 64
    an element has more than 64 attributes
    ");
}

#[test]
fn a_report_that_is_not_utf8_is_read_as_far_as_it_goes() {
    let xml = b"\xef\xbb\xbf<testsuite name='caf\xe9'><testcase name='a'/></testsuite>";
    assert_eq!(parse(xml).unwrap().cases[0].suite, "caf\u{fffd}");
}

#[test]
fn utf16_is_refused() {
    let refused = parse(b"\xff\xfe<\0t\0").unwrap_err().to_string();
    assert_eq!(refused, "it is UTF-16, and only UTF-8 is read");
}

#[test]
fn a_long_message_is_cut_within_its_bound() {
    let body = "ä".repeat(TEST_MESSAGE_BYTES_MAX);
    let xml =
        format!("<testsuite><testcase name='a'><failure>{body}</failure></testcase></testsuite>");
    let message = parse(xml.as_bytes()).unwrap().cases[0]
        .message
        .clone()
        .unwrap();
    assert!(
        message.len() <= TEST_MESSAGE_BYTES_MAX && message.ends_with("ä…"),
        "{}",
        message.len()
    );
}

#[test]
fn a_huge_report_keeps_its_counts_and_its_failed_tests() {
    let message = "x".repeat(TEST_MESSAGE_BYTES_MAX);
    let mut xml = String::from("<testsuite>");
    for at in 0..TEST_CASES_MAX + 10 {
        let _ = write!(xml, "<testcase name='passed {at}'/>");
    }
    for at in 0..1000 {
        let _ = write!(
            xml,
            "<testcase name='{at}'><failure>{message}</failure></testcase>"
        );
    }
    xml.push_str("</testsuite>");
    let report = parse(xml.as_bytes()).unwrap();
    let failed = report
        .cases
        .iter()
        .filter(|case| case.state == TestState::Failed);
    let with_message = report.cases.iter().filter(|case| case.message.is_some());
    let seen = (
        report.passed as usize,
        report.cases.len(),
        failed.count(),
        with_message.count(),
    );
    assert_eq!(seen, (TEST_CASES_MAX + 10, TEST_CASES_MAX, 1000, 255));
}

#[test]
fn a_reason_names_the_first_failed_tests() {
    let mut report = TestReport::default();
    let none = report.failure();
    for name in ["adds", "removes"] {
        let xml = format!(
            "<testsuite><testcase name='ok'/><testcase name='{name}'><error/></testcase></testsuite>"
        );
        report.add(parse(xml.as_bytes()).unwrap());
    }
    let two = report.failure();
    report.failed = 9;
    let reasons = [none, two, report.failure()].map(Option::unwrap_or_default);
    insta::assert_snapshot!(reasons.join("\n"), @r"
    2 of 4 tests failed: adds, removes
    9 of 11 tests failed: adds, removes and 7 more
    ");
}
