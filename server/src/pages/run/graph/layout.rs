//! Where each node stands, and how the lines between them go. Pure.

use crate::pages::words::{Family, Status};

/// Size of a node, and the space between them, in pixels.
const WIDTH: usize = 184;
const HEIGHT: usize = 48;
const GAP_X: usize = 56;
const GAP_Y: usize = 16;
/// Letters of a name that fit into a node.
const LETTERS: usize = 21;

/// A node as it comes: what it is, and the places of those it needs.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) note: String,
    pub(crate) status: Status,
    pub(crate) href: String,
    pub(crate) needs: Vec<usize>,
}

/// A picture.
#[derive(Debug)]
pub(crate) struct Drawing {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) boxes: Vec<Box>,
    pub(crate) lines: Vec<Line>,
}

/// A node in its place.
#[derive(Debug)]
pub(crate) struct Box {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) label: String,
    pub(crate) node: Node,
}

/// A line from a node to one that needs it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) path: String,
    /// Whether a failure went along it.
    pub(crate) bad: bool,
}

/// The layer of each node: one behind the last of those it needs. A need that leads back to itself
/// (there is none in a plan) is left out.
pub(crate) fn layers(nodes: &[Node]) -> Vec<usize> {
    let mut layers = vec![0; nodes.len()];
    // A plan has no cycles, so that no layer is behind as many as there are nodes.
    for _ in 0..nodes.len() {
        let mut moved = false;
        for (place, node) in nodes.iter().enumerate() {
            let behind = node.needs.iter().map(|need| layers[*need] + 1).max();
            let layer = behind.unwrap_or(0).min(nodes.len());
            if layer > layers[place] {
                layers[place] = layer;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    layers
}

/// Draws the nodes.
pub(crate) fn draw(nodes: &[Node]) -> Drawing {
    let layers = layers(nodes);
    let places = rows(nodes, &layers);
    let at = |place: usize| {
        let x = layers[place] * (WIDTH + GAP_X);
        (x, places[place] * (HEIGHT + GAP_Y))
    };
    let broken = broken(nodes, &layers);
    let mut lines = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        for need in &node.needs {
            lines.push(Line {
                path: curve(at(*need), at(place)),
                bad: broken[*need] && nodes[place].status.family != Family::Passed,
            });
        }
    }
    // What failed is drawn over the rest.
    lines.sort_by_key(|line| line.bad);
    let columns = layers.iter().max().map_or(0, |last| last + 1);
    let tallest = places.iter().max().map_or(0, |last| last + 1);
    let boxes = nodes.iter().enumerate().map(|(place, node)| {
        let (x, y) = at(place);
        Box {
            x,
            y,
            label: shortened(&node.name),
            node: node.clone(),
        }
    });
    Drawing {
        width: (columns * (WIDTH + GAP_X)).saturating_sub(GAP_X),
        height: (tallest * (HEIGHT + GAP_Y)).saturating_sub(GAP_Y),
        boxes: boxes.collect(),
        lines,
    }
}

/// The row of each node within its layer: nodes stand near the middle of what they need, which
/// keeps lines from crossing where that is easy.
fn rows(nodes: &[Node], layers: &[usize]) -> Vec<usize> {
    let mut rows = vec![0; nodes.len()];
    let last = layers.iter().max().copied().unwrap_or(0);
    for layer in 0..=last {
        let mut here: Vec<usize> = (0..nodes.len())
            .filter(|place| layers[*place] == layer)
            .collect();
        let middle = |place: &usize| {
            let needs = &nodes[*place].needs;
            let sum: usize = needs.iter().map(|need| rows[*need] * 64).sum();
            sum.checked_div(needs.len()).unwrap_or(0)
        };
        let mut keyed: Vec<_> = here
            .drain(..)
            .map(|place| (middle(&place), place))
            .collect();
        keyed.sort_unstable();
        for (row, (_, place)) in keyed.into_iter().enumerate() {
            rows[place] = row;
        }
    }
    rows
}

/// Which nodes failed, or did not run because of one that did.
fn broken(nodes: &[Node], layers: &[usize]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|place| layers[*place]);
    let mut broken = vec![false; nodes.len()];
    for place in order {
        let node = &nodes[place];
        let inherited = node.needs.iter().any(|need| broken[*need]);
        broken[place] = match node.status.family {
            Family::Failed => true,
            Family::Neutral => inherited,
            Family::Passed | Family::Active | Family::Attention => false,
        };
    }
    broken
}

fn curve((x1, y1): (usize, usize), (x2, y2): (usize, usize)) -> String {
    let (x1, y1) = (x1 + WIDTH, y1 + HEIGHT / 2);
    let y2 = y2 + HEIGHT / 2;
    let middle = GAP_X / 2;
    // Bends right behind the one it comes from, and runs straight to a far layer.
    format!(
        "M{x1} {y1}C{} {y1} {} {y2} {} {y2}H{x2}",
        x1 + middle,
        x1 + middle,
        x1 + GAP_X
    )
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LETTERS {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(LETTERS - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use pipelines::job::State;

    use super::*;
    use crate::pages::words;

    fn node(name: &str, state: State, needs: &[usize]) -> Node {
        Node {
            name: name.to_owned(),
            note: String::new(),
            status: words::of_state(state),
            href: String::new(),
            needs: needs.to_vec(),
        }
    }

    #[test]
    fn a_node_stands_behind_the_last_it_needs() {
        let nodes = [
            node("deploy", State::Skipped, &[1, 2]),
            node("image", State::Passed, &[2]),
            node("test", State::Failed, &[]),
            node("lint", State::Passed, &[]),
        ];
        assert_eq!(layers(&nodes), [2, 1, 0, 0]);
    }

    #[test]
    fn a_failure_goes_along_the_lines_to_what_it_kept_from_running() {
        let nodes = [
            node("test", State::Failed, &[]),
            node("image", State::Skipped, &[0]),
            node("staging", State::Skipped, &[1]),
            node("report", State::Passed, &[0]),
        ];
        let bad: Vec<bool> = draw(&nodes).lines.iter().map(|line| line.bad).collect();
        assert_eq!(bad, [false, true, true]);
    }

    #[test]
    fn no_two_nodes_stand_in_one_place() {
        let nodes: Vec<Node> = (0..60)
            .map(|n| {
                let needs: Vec<usize> = (0..n).filter(|m| (n * 7 + m * 3) % 11 == 0).collect();
                node(&format!("j{n}"), State::Passed, &needs)
            })
            .collect();
        let drawing = draw(&nodes);
        let mut places: Vec<_> = drawing.boxes.iter().map(|node| (node.x, node.y)).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 60);
    }
}
