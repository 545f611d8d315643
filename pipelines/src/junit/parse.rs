//! Reads a JUnit report: an XML format without a standard, as the common tools write it.
//!
//! What a report says about its own totals is not believed: the tests are counted. Document types
//! are refused, so there is no entity that could grow; output of tests is passed over.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::text::{Text, shown};
use super::{TestCase, TestReport, TestState};
use crate::limits::{
    JOB_TIMEOUT_MAX, JUNIT_ATTRIBUTES_MAX, JUNIT_BYTES_MAX, JUNIT_DEPTH_MAX, TEST_CASES_MAX,
    TEST_MESSAGE_BYTES_MAX, TEST_NAME_BYTES_MAX,
};

/// Why a file is no report, as the end of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotJunit(String);

/// Reads one report.
pub fn parse(bytes: &[u8]) -> Result<TestReport, NotJunit> {
    if bytes.len() as u64 > JUNIT_BYTES_MAX {
        return refused(format!("it is larger than {} MiB", JUNIT_BYTES_MAX >> 20));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return refused("it is UTF-16, and only UTF-8 is read");
    }
    let mut reader = Reader::from_reader(bytes);
    let mut parser = Parser::default();
    loop {
        let event = reader
            .read_event()
            .map_err(|error| NotJunit(format!("it is not valid XML: {error}")))?;
        match event {
            Event::Start(element) => parser.open(&element)?,
            Event::Empty(element) => {
                parser.open(&element)?;
                parser.close();
            }
            Event::End(_) => parser.close(),
            Event::Text(text) => parser.text(&String::from_utf8_lossy(&text)),
            Event::CData(text) => parser.text(&String::from_utf8_lossy(&text)),
            Event::GeneralRef(entity) => parser.text(&resolve(&entity)?),
            Event::DocType(_) => return refused("it has a document type, and none is read"),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return parser.end(),
        }
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, NotJunit> {
    Err(NotJunit(why.into()))
}

fn resolve(entity: &BytesRef<'_>) -> Result<String, NotJunit> {
    if entity.is_char_ref() {
        // A reference to what is no character (NUL, a surrogate) is one character that is lost.
        let found = entity.resolve_char_ref().ok().flatten();
        return Ok(found.unwrap_or(char::REPLACEMENT_CHARACTER).into());
    }
    let name = String::from_utf8_lossy(entity);
    match quick_xml::escape::resolve_predefined_entity(&name) {
        Some(text) => Ok(text.into()),
        None => refused(format!("it uses the unknown entity `&{};`", shown(&name))),
    }
}

/// An element that is open.
enum Open {
    Suites,
    Suite(String),
    Case(Case),
    /// What says how a test ended; its text is the message.
    Ending,
    /// Anything else: output, properties.
    Other,
}

struct Case {
    class: String,
    name: String,
    state: TestState,
    millis: u64,
    message: Text,
}

#[derive(Default)]
struct Parser {
    open: Vec<Open>,
    has_root: bool,
    report: TestReport,
    failed: Vec<TestCase>,
    others: Vec<TestCase>,
}

impl Parser {
    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), NotJunit> {
        if self.open.len() >= JUNIT_DEPTH_MAX {
            return refused(format!(
                "its elements are nested deeper than {JUNIT_DEPTH_MAX}"
            ));
        }
        let attributes = Attributes::of(element)?;
        let name = element.local_name();
        let next = match (self.open.last_mut(), name.as_ref()) {
            (None, _) if self.has_root => return refused("it has more than one root"),
            (None | Some(Open::Suites), b"testsuites") => Open::Suites,
            (None | Some(Open::Suites | Open::Suite(_)), b"testsuite") => {
                Open::Suite(attributes.name("name"))
            }
            (None, other) => {
                let root = shown(&String::from_utf8_lossy(other));
                return refused(format!("its root is `{root}`, not `testsuites`"));
            }
            (Some(Open::Suites | Open::Suite(_)), b"testcase") => Open::Case(case(&attributes)),
            (Some(Open::Case(case)), b"failure" | b"error") => {
                case.end(TestState::Failed, &attributes);
                Open::Ending
            }
            (Some(Open::Case(case)), b"skipped") => {
                case.end(TestState::Skipped, &attributes);
                Open::Ending
            }
            // A flaky test that passed in the end, what stands beside, and what is not known.
            (Some(_), _) => Open::Other,
        };
        self.has_root = true;
        self.open.push(next);
        Ok(())
    }

    fn close(&mut self) {
        if let Some(Open::Case(case)) = self.open.pop() {
            self.add(case);
        }
    }

    fn text(&mut self, text: &str) {
        if let [.., Open::Case(case), Open::Ending] = self.open.as_mut_slice() {
            case.message.push(text);
        }
    }

    fn add(&mut self, case: Case) {
        let suites = self.open.iter().rev();
        let suite = suites.filter_map(|open| match open {
            Open::Suite(name) if !name.is_empty() => Some(name.as_str()),
            Open::Suite(_) | Open::Suites | Open::Case(_) | Open::Ending | Open::Other => None,
        });
        let suite = joined(suite.take(1).next().unwrap_or_default(), &case.class);
        let (count, kept) = match case.state {
            TestState::Passed => (&mut self.report.passed, &mut self.others),
            TestState::Failed => (&mut self.report.failed, &mut self.failed),
            TestState::Skipped => (&mut self.report.skipped, &mut self.others),
        };
        *count += 1;
        if kept.len() < TEST_CASES_MAX {
            let message = case.message.finish();
            kept.push(TestCase {
                suite,
                name: case.name,
                state: case.state,
                millis: case.millis,
                message: Some(message)
                    .filter(|text| !text.is_empty() && case.state != TestState::Passed),
            });
        }
    }

    fn end(mut self) -> Result<TestReport, NotJunit> {
        if !self.open.is_empty() {
            return refused("it is not valid XML: it ends in the middle");
        }
        if !self.has_root {
            return refused("it is empty");
        }
        self.report.cases = self.failed;
        self.report.cases.append(&mut self.others);
        self.report.shorten();
        Ok(self.report)
    }
}

impl Case {
    /// The first ending counts, but for a failure, which counts in any case.
    fn end(&mut self, state: TestState, attributes: &Attributes) {
        if self.state == TestState::Failed {
            self.message.push("\n");
        } else {
            self.state = state;
            self.message = Text::up_to(TEST_MESSAGE_BYTES_MAX);
        }
        let said = attributes.find("message").or(attributes.find("type"));
        if let Some(said) = said.filter(|said| !said.trim().is_empty()) {
            self.message.title(said);
        }
    }
}

fn case(attributes: &Attributes) -> Case {
    let mut class = attributes.name("classname");
    if class.is_empty() {
        class = attributes.name("file");
    }
    let is_left_out = ["status", "result"].iter().any(|name| {
        let word = attributes.find(name).unwrap_or_default();
        ["notrun", "disabled", "skipped", "suppressed"].contains(&word.to_lowercase().as_str())
    });
    Case {
        class,
        name: attributes.name("name"),
        state: match is_left_out {
            true => TestState::Skipped,
            false => TestState::Passed,
        },
        millis: attributes.find("time").map_or(0, millis),
        message: Text::up_to(TEST_MESSAGE_BYTES_MAX),
    }
}

/// `1.5` and `1,234.5` are seconds; whatever else tools write is no time. No test takes longer than
/// its job may.
fn millis(text: &str) -> u64 {
    let seconds: f64 = text.trim().replace(',', "").parse().unwrap_or(0.0);
    // A cast of a float is bounded, and NaN is 0.
    ((seconds * 1000.0).round() as u64).min(JOB_TIMEOUT_MAX.as_secs() * 1000)
}

/// The suite, and within it the class, unless one of them says it all.
fn joined(suite: &str, class: &str) -> String {
    if class.is_empty() || suite.ends_with(class) {
        suite.to_owned()
    } else if class.starts_with(suite) {
        class.to_owned()
    } else {
        format!("{suite} / {class}")
    }
}

/// The attributes of an element, decoded. A broken reference stays as it is written.
struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn of(element: &BytesStart<'_>) -> Result<Self, NotJunit> {
        let mut found = Vec::new();
        // Without the check for doubles, which costs the square of their number.
        for attribute in element.attributes().with_checks(false) {
            let attribute =
                attribute.map_err(|error| NotJunit(format!("it is not valid XML: {error}")))?;
            if found.len() == JUNIT_ATTRIBUTES_MAX {
                let text = format!("an element has more than {JUNIT_ATTRIBUTES_MAX} attributes");
                return refused(text);
            }
            let name = String::from_utf8_lossy(attribute.key.local_name().as_ref()).into_owned();
            if ![
                "name",
                "classname",
                "file",
                "time",
                "message",
                "type",
                "status",
                "result",
            ]
            .contains(&name.as_str())
            {
                found.push((String::new(), String::new()));
                continue;
            }
            let raw = String::from_utf8_lossy(&attribute.value);
            let value = match quick_xml::escape::unescape(&raw) {
                Ok(value) => value.into_owned(),
                Err(_) => raw.into_owned(),
            };
            found.push((name, value));
        }
        Ok(Self(found))
    }

    fn find(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter();
        let found = all.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn name(&self, name: &str) -> String {
        let mut text = Text::up_to(TEST_NAME_BYTES_MAX);
        text.push(self.find(name).unwrap_or_default());
        text.finish().replace('\n', " ")
    }
}
