//! The YAML of other systems, as a tree in which everything knows its line.
//!
//! More tolerant than the reader of our own files, because these files were written for others:
//! tags, merge keys and repeated keys are read as their owners read them, and only what is no YAML
//! at all is refused. The bounds are the same.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, options};

use crate::definition::{Place, Problem};
use crate::limits::{ALIAS_BYTES_MAX, DEPTH_MAX, FILE_BYTES_MAX};

/// A value and its line.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) line: u32,
    /// A tag of the file's own, such as `reference` of GitLab, without its `!`.
    pub(super) tag: Option<String>,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Nothing,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: u32,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Nothing)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            Kind::Nothing | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The entries of a mapping; none of anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            Kind::Nothing | Kind::Text(_) | Kind::List(_) => &[],
        }
    }

    /// The items of a list; a single value is a list of one.
    pub(super) fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            Kind::Text(_) | Kind::Map(_) => std::slice::from_ref(self),
            Kind::Nothing => &[],
        }
    }

    pub(super) fn find(&self, key: &str) -> Option<&Node> {
        let entry = self.entries().iter().find(|entry| entry.key == key);
        entry.map(|entry| &entry.value)
    }

    /// The text under a key.
    pub(super) fn text_of(&self, key: &str) -> Option<&str> {
        self.find(key).and_then(Node::text)
    }

    /// One text or a list of texts, lists within lists laid flat.
    pub(super) fn texts(&self) -> Vec<(u32, String)> {
        let mut texts = Vec::new();
        for item in self.items() {
            match &item.kind {
                Kind::Text(text) => texts.push((item.line, text.clone())),
                Kind::List(_) => texts.extend(item.texts()),
                // `- echo: done` is a forgotten quote that other readers put up with.
                Kind::Map(_) | Kind::Nothing => {}
            }
        }
        texts
    }

    /// The texts under a key, without their lines.
    pub(super) fn texts_of(&self, key: &str) -> Vec<String> {
        let texts = self.find(key).map(Node::texts).unwrap_or_default();
        texts.into_iter().map(|(_, text)| text).collect()
    }

    pub(super) fn is_true(&self) -> bool {
        matches!(self.text(), Some("true" | "True" | "yes" | "on"))
    }

    pub(super) fn is_false(&self) -> bool {
        matches!(self.text(), Some("false" | "False" | "no" | "off"))
    }

    /// The value as one line, to show what is meant.
    pub(super) fn shown(&self) -> String {
        match &self.kind {
            Kind::Nothing => String::new(),
            Kind::Text(text) => text.lines().next().unwrap_or_default().to_owned(),
            Kind::List(items) => {
                let items: Vec<_> = items.iter().map(Node::shown).collect();
                items.join(", ")
            }
            Kind::Map(entries) => {
                let keys: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
                keys.join(", ")
            }
        }
    }
}

/// Reads the first document of a file that is not empty.
pub(super) fn read(text: &str) -> Result<Node, Vec<Problem>> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!(
            "the file has {} bytes; a file may have at most {FILE_BYTES_MAX}",
            text.len()
        );
        return Err(vec![Problem::new(Place::START, "", message)]);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    let options = options! { emit_comments: false };
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => builder.take(event, span).map_err(|problem| vec![problem])?,
            Err(error) => {
                let line = number(error.marker().line().max(1));
                let place = Place { line, column: 1 };
                let shown = text.lines().nth(line as usize - 1).unwrap_or_default();
                let message = format!("this is not valid YAML: {}", error.kind());
                return Err(vec![Problem::new(place, shown, message)]);
            }
        }
    }
    match builder.documents.into_iter().find(|node| !node.is_null()) {
        Some(root) => Ok(root),
        None => Err(vec![Problem::new(Place::START, "", "the file is empty")]),
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    alias_bytes: usize,
}

/// A list or mapping whose end has not come yet, with the key that waits for its value.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<(String, u32)>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let line = number(span.start.line().max(1));
        let mut own = None;
        let mut keep = |tag: Option<&str>| own = tag.map(str::to_owned);
        match &event {
            Event::Scalar(_, _, _, tag)
            | Event::SequenceStart(_, _, tag)
            | Event::MappingStart(_, _, tag) => {
                let tag = tag.as_ref().filter(|tag| tag.handle() == "!");
                keep(tag.map(|tag| tag.suffix()));
            }
            _ => {}
        }
        let node = |kind| Node {
            line,
            tag: own,
            kind,
        };
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_null = style == ScalarStyle::Plain
                    && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let kind = match is_null {
                    true => Kind::Nothing,
                    false => Kind::Text(text.into_owned()),
                };
                self.close(node(kind), anchor);
                Ok(())
            }
            Event::SequenceStart(_, anchor, _) => self.open(node(Kind::List(Vec::new())), anchor),
            Event::MappingStart(_, anchor, _) => self.open(node(Kind::Map(Vec::new())), anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.close(merged(open.node), open.anchor);
                }
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, line),
            // Documents and comments hold nothing by themselves.
            _ => Ok(()),
        }
    }

    fn open(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        if self.open.len() >= DEPTH_MAX {
            let message = format!("this is nested more than {DEPTH_MAX} levels deep");
            return Err(problem(node.line, message));
        }
        self.open.push(Open {
            node,
            anchor,
            key: None,
        });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, line: u32) -> Result<(), Problem> {
        let Some((node, bytes)) = self.anchors.get(&anchor) else {
            let message = "an alias cannot stand inside what it names".into();
            return Err(problem(line, message));
        };
        self.alias_bytes = self.alias_bytes.saturating_add(*bytes);
        if self.alias_bytes > ALIAS_BYTES_MAX {
            let message =
                format!("the aliases of this file repeat more than {ALIAS_BYTES_MAX} bytes");
            return Err(problem(line, message));
        }
        let node = node.clone();
        if self.open.len() + depth(&node) > DEPTH_MAX {
            let message = format!("this is nested more than {DEPTH_MAX} levels deep");
            return Err(problem(line, message));
        }
        self.close(node, 0);
        Ok(())
    }

    /// Puts a whole value where it belongs.
    fn close(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), bytes(&node)));
        }
        let Some(parent) = self.open.last_mut() else {
            self.documents.push(node);
            return;
        };
        match &mut parent.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => match parent.key.take() {
                None => {
                    let key = node.text().map_or_else(|| node.shown(), str::to_owned);
                    parent.key = Some((key, node.line));
                }
                Some((key, line)) => entries.push(Entry {
                    key,
                    line,
                    value: node,
                }),
            },
            Kind::Nothing | Kind::Text(_) => {}
        }
    }
}

fn problem(line: u32, message: String) -> Problem {
    Problem::new(Place { line, column: 1 }, "", message)
}

/// A mapping with what its `<<` brings, which its own keys overrule; of equal keys the last counts.
fn merged(mut node: Node) -> Node {
    let Kind::Map(entries) = &mut node.kind else {
        return node;
    };
    let mut kept: Vec<Entry> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut brought: Vec<Entry> = Vec::new();
    for entry in std::mem::take(entries) {
        if entry.key == "<<" {
            for item in entry.value.items() {
                brought.extend(item.entries().iter().cloned());
            }
            continue;
        }
        match places.get(&entry.key) {
            Some(place) => kept[*place] = entry,
            None => {
                places.insert(entry.key.clone(), kept.len());
                kept.push(entry);
            }
        }
    }
    for entry in brought {
        if !places.contains_key(&entry.key) {
            places.insert(entry.key.clone(), kept.len());
            kept.push(entry);
        }
    }
    *entries = kept;
    node
}

fn bytes(node: &Node) -> usize {
    const NODE_BYTES: usize = 16;
    NODE_BYTES
        + match &node.kind {
            Kind::Nothing => 0,
            Kind::Text(text) => text.len(),
            Kind::List(items) => items.iter().map(bytes).sum(),
            Kind::Map(entries) => {
                let entry = |entry: &Entry| entry.key.len() + bytes(&entry.value);
                entries.iter().map(entry).sum()
            }
        }
}

fn depth(node: &Node) -> usize {
    match &node.kind {
        Kind::Nothing | Kind::Text(_) => 0,
        Kind::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Kind::Map(entries) => {
            let deepest = entries.iter().map(|entry| depth(&entry.value)).max();
            1 + deepest.unwrap_or(0)
        }
    }
}
