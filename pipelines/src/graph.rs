//! Who needs whom: cycles, and everything behind a need. Nodes are numbers, names are the caller's.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// More cycles than this are not looked for: each costs a walk through the graph.
const CYCLES_MAX: usize = 10;

/// For each node, the nodes it needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    needs: Vec<Vec<usize>>,
}

impl Graph {
    /// A graph of these needs; each names a node of the list.
    pub(crate) fn new(needs: Vec<Vec<usize>>) -> Graph {
        let count = needs.len();
        let mut all = needs.iter().flatten();
        assert!(all.all(|need| *need < count), "a need that is no node");
        Graph { needs }
    }

    /// Every node, each behind the ones it needs; otherwise in the order given. Nodes of a cycle,
    /// and those that need them, are left out.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut missing: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut needed_by = vec![Vec::new(); self.needs.len()];
        for (node, needs) in self.needs.iter().enumerate() {
            needs.iter().for_each(|need| needed_by[*need].push(node));
        }
        let nodes = 0..self.needs.len();
        let mut ready: BinaryHeap<_> = nodes.filter(|n| missing[*n] == 0).map(Reverse).collect();
        let mut order = Vec::new();
        while let Some(Reverse(node)) = ready.pop() {
            order.push(node);
            for waiting in &needed_by[node] {
                missing[*waiting] -= 1;
                if missing[*waiting] == 0 {
                    ready.push(Reverse(*waiting));
                }
            }
        }
        order
    }

    /// The first cycles, each as the nodes along it: `[a, b]` is `a → b → a`.
    pub(crate) fn cycles(&self) -> Vec<Vec<usize>> {
        let mut cycles = Vec::new();
        let mut graph = self.clone();
        loop {
            let mut is_free = vec![false; graph.needs.len()];
            graph
                .order()
                .into_iter()
                .for_each(|node| is_free[node] = true);
            let Some(start) = is_free.iter().position(|free| !free) else {
                return cycles;
            };
            // Every node that is not free needs another such node, so the walk must come round.
            let mut walk = vec![start];
            let cycle = loop {
                let here = walk[walk.len() - 1];
                let next = graph.needs[here].iter().find(|need| !is_free[**need]);
                let next = *next.expect("a node that is not free needs one that is not");
                match walk.iter().position(|seen| *seen == next) {
                    Some(from) => break walk.split_off(from),
                    None => walk.push(next),
                }
            };
            // With this cycle cut where it closes, others through the same nodes still show.
            let (first, last) = (cycle[0], cycle[cycle.len() - 1]);
            graph.needs[last].retain(|need| *need != first);
            cycles.push(cycle);
            if cycles.len() == CYCLES_MAX {
                return cycles;
            }
        }
    }

    /// The nodes that `node` needs, and those they need, and so on.
    pub(crate) fn behind(&self, node: usize) -> Vec<bool> {
        let mut is_behind = vec![false; self.needs.len()];
        let mut open = self.needs[node].clone();
        while let Some(next) = open.pop() {
            if !is_behind[next] {
                is_behind[next] = true;
                open.extend(&self.needs[next]);
            }
        }
        is_behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(needs: &[&[usize]]) -> Graph {
        Graph::new(needs.iter().map(|needs| needs.to_vec()).collect())
    }

    #[test]
    fn nodes_come_behind_their_needs_and_otherwise_in_the_order_given() {
        assert_eq!(graph(&[&[2], &[], &[1], &[]]).order(), [1, 2, 0, 3]);
        assert_eq!(graph(&[]).order(), [] as [usize; 0]);
    }

    #[test]
    fn every_cycle_is_named_from_its_first_node() {
        assert_eq!(
            graph(&[&[1], &[0], &[3], &[2], &[0]]).cycles(),
            [vec![0, 1], vec![2, 3]]
        );
        assert_eq!(graph(&[&[0]]).cycles(), [vec![0]]);
        assert_eq!(
            graph(&[&[2], &[0], &[3, 1], &[2]]).cycles(),
            [vec![2, 3], vec![0, 2, 1]]
        );
        // A node that only needs a cycle is not part of one.
        assert_eq!(graph(&[&[1], &[2], &[1]]).cycles(), [vec![1, 2]]);
        assert!(graph(&[&[1, 2], &[2], &[]]).cycles().is_empty());
    }

    #[test]
    fn everything_behind_a_node_is_found_even_in_a_cycle() {
        assert_eq!(
            graph(&[&[1], &[2], &[], &[0]]).behind(0),
            [false, true, true, false]
        );
        assert_eq!(graph(&[&[1], &[0]]).behind(0), [true, true]);
    }
}
