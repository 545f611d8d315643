//! A network that breaks between a runner and its server.

use anyhow::{Result, ensure};
use tests::campaign::scale;
use tests::network::BadNetwork;
use tests::require;
use tests::runners::RunnerOptions;
use tests::world::World;

use crate::files::{FILE, job};

/// F19, F18: connections are cut in the middle of calls and of answers.
#[tokio::test]
async fn a_network_that_cuts_every_connection_costs_no_line_and_repeats_no_step() -> Result<()> {
    const JOBS: usize = 4;
    let _turn = require!(Docker);
    let world = World::start_with(&[("SEAWORTHY_LEASE", "20")]).await?;
    let name = world.name("network");
    let repository = world.repository(&name).await?;
    let network = BadNetwork::start(world.address(), 1).await?;
    let options = RunnerOptions {
        server: Some(network.url.clone()),
        ..RunnerOptions::default()
    };
    let _runner = world.runner_with("r1", &[], options).await?;
    let lines: u32 = scale(50, 500);
    let talk = format!(
        "echo nonce >> nonces\nn=1\nwhile [ $n -le {lines} ]; do echo \"line $n.\"; n=$((n+1)); sleep 0.02; done"
    );
    let steps = [talk.as_str(), "echo nonces: $(wc -l < nonces)"];
    let jobs = (0..JOBS).map(|number| job(&format!("job-{number}"), "", &steps));
    let file = format!("on: push\njobs:\n{}", jobs.collect::<Result<String>>()?);
    let sha = repository.commit("main", "Begin", &[(FILE, &file)]).await?;
    let run = world.run_of(&name, &sha).await?;
    ensure!(run.state == "passed", "{}", run.summary());
    for job in &run.jobs {
        let log = world.api.log(&name, run.number, &job.name).await?;
        let all = log.lines().filter_map(|line| line.rsplit_once("line "));
        let numbers = all.filter_map(|(_, number)| number.strip_suffix('.')?.parse().ok());
        let numbers: Vec<u32> = numbers.collect();
        ensure!(
            numbers == (1..=lines).collect::<Vec<_>>(),
            "its lines:\n{log}"
        );
        ensure!(
            log.contains("nonces: 1") && job.attempt == 1,
            "once:\n{log}"
        );
    }
    ensure!(network.cuts() > 10, "only {} were cut", network.cuts());
    world.check_invariants().await
}
