//! YAML as a tree in which every key and value knows its place, and a text stays as it is written.
//!
//! Built from the parser's events and not through serde: serde would read `3.10` as the number 3.1
//! and `yes` as a truth value, and it ends at the first problem. What is YAML but has no business
//! in our files (tags, merge keys, several documents) is refused here.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, Span, options};

use super::problem::{Place, Problem, shorten};
use super::yaml;
use crate::limits::{ALIAS_BYTES_MAX, DEPTH_MAX, FILE_BYTES_MAX, PROBLEMS_MAX};

/// A value.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A text, a number, a word; `plain` if it is written without quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values, in the file's order, each key once.
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Node {
    /// Whether nothing is written here.
    pub(crate) fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, plain } => {
                *plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Kind::Sequence(_) | Kind::Mapping(_) => false,
        }
    }

    /// What it is, in words.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { .. } if self.is_null() => "empty",
            Kind::Scalar { .. } => "a text",
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
        }
    }

    /// The beginning of it, to show what is meant.
    pub(crate) fn shown(&self) -> String {
        match &self.kind {
            Kind::Scalar { .. } if self.is_null() => String::new(),
            Kind::Scalar { text, .. } => shorten(text),
            Kind::Sequence(items) => items.first().map(Node::shown).unwrap_or_default(),
            Kind::Mapping(entries) => {
                let key = entries.first().map(|entry| entry.key.as_str());
                shorten(key.unwrap_or_default())
            }
        }
    }
}

/// Reads a file. `Ok` holds the tree and what is wrong with it but does not hinder reading on.
pub(crate) fn read(text: &str) -> Result<(Node, Vec<Problem>), Vec<Problem>> {
    if text.len() > FILE_BYTES_MAX {
        let size = text.len();
        let message =
            format!("the file has {size} bytes; a file may have at most {FILE_BYTES_MAX}");
        return Err(vec![Problem::new(Place::START, "", message)]);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    let options = options! { disallow_directives: true, emit_comments: false };
    for event in Parser::new_from_str_with_options(text, options) {
        let built = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(yaml::problem(text, error.kind(), place(error.marker()))),
        };
        if let Err(problem) = built {
            // What was found before it may follow from it, so it comes alone but for the sure ones.
            builder.problems.push(problem);
            return Err(builder.problems);
        }
    }
    match builder.root {
        Some(root) if !root.is_null() => Ok((root, builder.problems)),
        Some(_) | None => Err(vec![Problem::new(Place::START, "", "the file is empty")]),
    }
}

fn place(marker: &Marker) -> Place {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place {
        line: number(marker.line().max(1)),
        column: number(marker.col()).saturating_add(1),
    }
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    documents: u32,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    alias_bytes: usize,
    problems: Vec<Problem>,
}

/// A list or mapping whose end has not come yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<Key>,
    /// The lines of the keys seen.
    lines: HashMap<String, u32>,
}

enum Key {
    /// To be entered with its value.
    Good(String, Place),
    /// Refused already: its value is dropped.
    Bad,
}

/// What an alias stands for, and what it costs to repeat it.
struct Anchored {
    node: Node,
    bytes: usize,
    depth: usize,
}

impl Builder {
    /// Takes the next event; an error ends the reading.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let at = place(&span.start);
        if let Some(tag) = span.tag_span() {
            let problem = "YAML tags such as `!!str` are not used here";
            let problem = Problem::new(place(&tag.start), "", problem);
            self.problems
                .push(problem.hint("quote the text if it must stay a text"));
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second document begins here; a file holds one";
                    return Err(Problem::new(at, "", message));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, _) => {
                if text.contains('\0') {
                    let message = "a text cannot hold a NUL character";
                    self.problems.push(Problem::new(at, &text, message));
                }
                let (text, plain) = (text.into_owned(), style == ScalarStyle::Plain);
                let kind = Kind::Scalar { text, plain };
                self.close(Node { place: at, kind }, anchor);
                Ok(())
            }
            Event::SequenceStart(_, anchor, _) => self.open(Kind::Sequence(Vec::new()), at, anchor),
            Event::MappingStart(_, anchor, _) => self.open(Kind::Mapping(Vec::new()), at, anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.close(open.node, open.anchor);
                }
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            // Neither is asked for in the options.
            Event::Anchor(..) | Event::UnresolvedAlias(_) => Ok(()),
            // The parser may learn new events (comments are one); none of them is data.
            _ => Ok(()),
        }
    }

    fn open(&mut self, kind: Kind, at: Place, anchor: usize) -> Result<(), Problem> {
        if self.open.len() >= DEPTH_MAX {
            return Err(too_deep(at));
        }
        self.open.push(Open {
            node: Node { place: at, kind },
            anchor,
            key: None,
            lines: HashMap::new(),
        });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: Place) -> Result<(), Problem> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            let message = "an alias cannot stand inside what it names";
            return Err(Problem::new(at, "", message));
        };
        self.alias_bytes = self.alias_bytes.saturating_add(anchored.bytes);
        if self.alias_bytes > ALIAS_BYTES_MAX {
            let message = format!(
                "the aliases of this file repeat more than {ALIAS_BYTES_MAX} bytes, which is the limit"
            );
            return Err(Problem::new(at, "", message));
        }
        if self.open.len() + anchored.depth > DEPTH_MAX {
            return Err(too_deep(at));
        }
        let node = anchored.node.clone();
        self.close(node, 0);
        Ok(())
    }

    /// Puts a whole value where it belongs.
    fn close(&mut self, mut node: Node, anchor: usize) {
        if anchor != 0 {
            let (bytes, depth) = measure(&node);
            let node = node.clone();
            self.anchors.insert(anchor, Anchored { node, bytes, depth });
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut parent.node.kind {
            Kind::Sequence(items) => items.push(node),
            Kind::Mapping(entries) => match parent.key.take() {
                None => parent.key = Some(key(node, &mut parent.lines, &mut self.problems)),
                Some(Key::Bad) => {}
                Some(Key::Good(key, place)) => {
                    if node.is_null() {
                        // An empty value has no text of its own to point at.
                        node.place = place;
                    }
                    let value = node;
                    entries.push(Entry { key, place, value });
                }
            },
            Kind::Scalar { .. } => unreachable!("only lists and mappings are opened"),
        }
    }
}

fn too_deep(at: Place) -> Problem {
    let message = format!("this is nested more than {DEPTH_MAX} levels deep, which is the limit");
    Problem::new(at, "", message)
}

/// Judges a key: only a plain text that is new in its mapping can be one.
fn key(node: Node, lines: &mut HashMap<String, u32>, problems: &mut Vec<Problem>) -> Key {
    let at = node.place;
    let Kind::Scalar { text, plain } = node.kind else {
        let message = format!("a key must be a text; this is {}", node.describe());
        problems.push(Problem::new(at, &node.shown(), message));
        return Key::Bad;
    };
    // The parser writes `~` for what is not there.
    if text.is_empty() || (plain && text == "~") {
        problems.push(Problem::new(at, "", "a key is missing before the `:`"));
        return Key::Bad;
    }
    if plain && text == "<<" {
        let problem = Problem::new(at, "<<", "merge keys (`<<`) are not used here");
        problems.push(problem.hint("write the keys out, or use an alias for a whole value"));
        return Key::Bad;
    }
    if let Some(line) = lines.get(&text) {
        // Beyond the limit nothing is shown.
        if problems.len() >= PROBLEMS_MAX {
            return Key::Bad;
        }
        let message = format!("`{}` is here twice; first on line {line}", shorten(&text));
        problems.push(Problem::new(at, &text, message));
        return Key::Bad;
    }
    lines.insert(text.clone(), at.line);
    Key::Good(text, at)
}

/// How many bytes a value holds (each node counts as some), and how deep it goes.
fn measure(node: &Node) -> (usize, usize) {
    const NODE_BYTES: usize = 16;
    let mut bytes = NODE_BYTES;
    let mut depth = 0;
    let mut add = |node: &Node| {
        let (more, deeper) = measure(node);
        bytes += more;
        depth = depth.max(deeper);
    };
    match &node.kind {
        Kind::Scalar { text, .. } => return (bytes + text.len(), 0),
        Kind::Sequence(items) => items.iter().for_each(&mut add),
        Kind::Mapping(entries) => {
            entries.iter().for_each(|entry| add(&entry.value));
            bytes += entries.iter().map(|entry| entry.key.len()).sum::<usize>();
        }
    }
    (bytes, depth + 1)
}
