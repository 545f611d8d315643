//! Jobs: their names, what they need, what they do.

use super::*;

#[test]
fn needs_exist_and_lead_nowhere_back() {
    let files = [
        "on: push\njobs:\n  a: { needs: a, image: x, steps: [y] }",
        "on: push\njobs:\n  a: { needs: [b, b, C, bb], image: x, steps: [y] }\n  b: { image: x, steps: [y] }",
        "on: push\njobs:\n  a: { needs: [c], image: x, steps: [y] }\n  b: { needs: a, image: x, steps: [y] }\n  c: { needs: [d, b], image: x, steps: [y] }\n  d: { needs: c, image: x, steps: [y] }\n  e: { needs: a, image: x, steps: [y] }",
        "on: push\njobs:\n  A b: { image: x, steps: [y] }\n  b: { needs: A b, image: x, steps: [y] }",
    ];
    insta::assert_snapshot!(report(&files));
}

#[test]
fn a_job_is_exactly_one_of_three_kinds_of_work() {
    let bodies = [
        "image: x",
        "image: x\nsteps: [y]\nbuild: { image: z }",
        "image: x\nenv: { A: b }\nbuild: { image: z }",
        "env: { A: b }\ndeploy: { environment: z, manifests: y }",
    ];
    insta::assert_snapshot!(report_jobs(&bodies));
}

#[test]
fn steps_have_a_command_and_an_image() {
    let bodies = [
        "steps: [a, { run: b, image: x }]",
        "image: ''\nsteps: [a]",
        "image: two words\nsteps: [{ run: a, image: '${{ foo }}' }]",
        "image: x\nsteps: a",
        "image: x\nsteps: []",
        "image: x\nsteps: ['', ~, { name: a }, [a], { run: { a: b } }]",
        "image: x\nsteps: [{ run: y, name: \"a\\nb\", timeout: 0s, env: [] }]",
        "image: x\nsteps: ['echo ${{ branch }} ${{ matrix.x }} ${{ toJSON(github) }}']",
    ];
    insta::assert_snapshot!(report_jobs(&bodies));
}

#[test]
fn conditions_name_branches_and_events() {
    let bodies = [
        "image: x\nsteps: [y]\nwhen: main",
        "image: x\nsteps: [y]\nwhen: { branch: [main, '!x/*'], event: '!pull_request' }",
        "image: x\nsteps: [y]\nwhen: { event: [psuh, '!manuel', schedule], branches: main }",
    ];
    insta::assert_snapshot!(report_jobs(&bodies));
}

#[test]
fn a_build_says_where_its_image_goes() {
    let bodies = [
        "build: {}",
        "build: x",
        "build: { image: 'registry.acme.dev/shop:1' }",
        "build: { image: Shop, tags: ['a b', '${{ branch }}', '-x', v1] }",
        "build: { image: '${{ repositry }}', context: /etc, dockerfile: ../x, target: '' }",
        "build: { image: x, args: { A: , 1B: x }, context: '${{ branch }}' }",
    ];
    insta::assert_snapshot!(report_jobs(&bodies));
}

#[test]
fn a_deploy_says_what_goes_where() {
    let bodies = [
        "deploy: {}",
        "deploy: { environment: Prod, manifests: x, promote: y }",
        "deploy: { environment: x, promote: x }",
        "deploy: { environment: x, promote: y, images: { a: b } }",
        "deploy: { environment: x, manifests: y, images: { a: b, c: d, 'e f': b, g: [] } }",
        "deploy: { environment: x, manifests: y, strategy: rolling, verify: { bake: 1x }, deadline: 25h }",
        "deploy: { environment: x, manifests: y, strategy: roling, verify: 30s }",
        "deploy: { environment: x, manifests: y, strategy: { rolling: {} } }",
    ];
    insta::assert_snapshot!(report_jobs(&bodies));
}

const SHOP: &str = "
on: push
jobs:
  image: { build: { image: shop } }
  other: { build: { image: other } }
  test: { needs: image, image: x, steps: [y] }
  one: { needs: test, deploy: { environment: one, manifests: a, images: { shop: image } } }
";

#[test]
fn a_deploy_takes_images_from_builds_it_waits_for() {
    assert_eq!(problems(SHOP), "nothing");
    let instead = |job: &str| problems(&SHOP.replace("shop: image", &format!("shop: {job}")));
    let found = ["other", "test", "imag", "one"].map(instead).join("\n");
    insta::assert_snapshot!(found, @r"
    7:81 |other| the deploy does not wait for job `other` (add `other` to its `needs`)
    7:81 |test| job `test` builds no image
    7:81 |imag| there is no job `imag` (did you mean `image`?)
    7:81 |one| job `one` builds no image
    ");
}

#[test]
fn a_promotion_comes_from_the_one_deploy_it_waits_for() {
    let with = |more: &str| problems(&format!("{SHOP}{more}"));
    assert_eq!(
        with("  two: { needs: one, deploy: { environment: two, promote: one } }"),
        "nothing"
    );
    let found = [
        with("  two: { deploy: { environment: two, promote: one } }"),
        with("  two: { needs: one, deploy: { environment: two, promote: oen } }"),
        with("  two: { needs: one, deploy: { environment: one, promote: one } }"),
        with(
            "  two: { deploy: { environment: one, manifests: b } }\n  three: { needs: [one, two], deploy: { environment: three, promote: one } }",
        ),
    ];
    insta::assert_snapshot!(found.join("\n"), @r"
    8:47 |one| the deploy does not wait for job `one` (add `one` to its `needs`)
    8:59 |oen| no job of this file deploys to `oen` (did you mean `one`?)
    8:59 |one| an environment cannot promote from itself
    9:70 |one| it is not clear which release is promoted: `one` and `two` deploy to `one`
    ");
}

#[test]
fn what_comes_of_a_matrix_is_many_and_taken_from_none() {
    let files = [
        "on: push
jobs:
  image: { matrix: { v: [a, b] }, build: { image: 'shop/${{ matrix.v }}' } }
  deploy: { needs: image, deploy: { environment: x, manifests: y, images: { shop: image } } }",
        "on: push
jobs:
  one: { matrix: { v: [a, b] }, deploy: { environment: one, manifests: y } }
  two: { needs: one, deploy: { environment: two, promote: one } }",
        "on: push
jobs:
  a: { image: x, steps: [y], matrix: { v: [a, b], exclude: [{ v: a }, { v: b }] } }
  b: { image: x, steps: [y], needs: a }",
    ];
    insta::assert_snapshot!(files.map(problems).join("\n"), @r"
    4:83 |image| job `image` has a matrix, so its images are many (take the image from a job without a matrix)
    4:59 |one| job `one` has a matrix, so its releases are many
    3:3 |a| the matrix of this job has no cell left (`exclude` leaves all of them out)
    ");
}
