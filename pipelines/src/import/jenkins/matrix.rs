//! A `matrix` of stages: each of its cells runs them all.

use super::super::model::{Matrix, Notes, Pairs};
use super::super::names;
use super::arguments::Arguments;
use super::groovy::Statement;
use super::sections::{self, Scope};
use super::stages::{Chain, sequence};

pub(super) fn read(block: &Statement, scope: &Scope, chain: &mut Chain, notes: &mut Notes) {
    let mut matrix = Matrix::default();
    let axes = block.find("axes").map(Statement::block).unwrap_or_default();
    let mut env = Pairs::new();
    let read = |axis: &Statement| {
        let text = |name: &str| axis.find(name).map(|one| Arguments::read(&one.rest));
        let name = text("name").and_then(|one| one.places.first().cloned());
        let values = text("values").map(|one| one.places).unwrap_or_default();
        let name = name.map(|name| name.plain().to_owned())?;
        let values: Vec<String> = values.iter().map(|one| one.plain().to_owned()).collect();
        Some((name, values))
    };
    for (name, values) in axes.iter().filter_map(read) {
        let axis = names::axis(&name);
        env.push((name, format!("${{{{ matrix.{axis} }}}}")));
        if !values.is_empty() {
            matrix.axes.push((axis, values));
        }
    }
    for exclude in block
        .find("excludes")
        .map(Statement::block)
        .unwrap_or_default()
    {
        let rows: Vec<_> = exclude.block().iter().filter_map(read).collect();
        match rows.iter().all(|(_, values)| values.len() == 1) && !rows.is_empty() {
            true => {
                let rows = rows.into_iter();
                let row = rows.map(|(name, mut values)| (names::axis(&name), values.remove(0)));
                matrix.exclude.push(row.collect());
            }
            false => {
                let why = "what is left out is named by one value for each axis";
                notes.add(
                    exclude.line,
                    "exclude",
                    why,
                    "write an `exclude` for each combination",
                );
            }
        }
    }
    let mut scope = scope.clone();
    let own: Pairs = scope
        .env
        .iter()
        .cloned()
        .chain(env.iter().cloned())
        .collect();
    if let Some(agent) = block.find("agent") {
        let image = sections::image(agent, &own, &mut scope.comments, notes);
        scope.image = image.or(scope.image);
    }
    scope.env = own;
    chain.close();
    chain.matrix = matrix;
    chain.env = env;
    if let Some(stages) = block.find("stages") {
        sequence(stages.block(), &scope, chain, notes);
    }
    chain.close();
    chain.matrix = Matrix::default();
    chain.env = Pairs::new();
}
