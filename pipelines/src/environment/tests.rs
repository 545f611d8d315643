use super::*;

fn problems(text: &str) -> String {
    let problems = Environments::parse(text).err().unwrap_or_default();
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn environments_are_read_in_their_order() {
    let text = "
production: { namespace: shop, branches: [main, '!x'], after: staging, on_failure: hold }
staging: { namespace: shop-staging, after: test }
sandbox: { namespace: sandbox }
test: { namespace: shop-test }
";
    let environments = Environments::parse(text).unwrap();
    let names = |list: Vec<&Environment>| -> Vec<String> {
        list.into_iter()
            .map(|environment| environment.name.to_string())
            .collect()
    };
    assert_eq!(
        names(environments.iter().collect()),
        ["production", "staging", "sandbox", "test"]
    );
    assert_eq!(
        names(environments.promotion_order()),
        ["sandbox", "test", "staging", "production"]
    );
    let production = environments.find(&"production".parse().unwrap()).unwrap();
    assert!(production.branches.as_ref().unwrap().matches("main"));
    assert_eq!(production.namespace.as_str(), "shop");
    let policies = environments.iter().map(|one| one.on_failure);
    let rest = [OnFailure::Rollback; 3];
    assert_eq!(
        policies.collect::<Vec<_>>(),
        [&[OnFailure::Hold][..], &rest].concat()
    );
    assert!(environments.find(&"qa".parse().unwrap()).is_none());
    assert_eq!(
        Environments::none().promotion_order(),
        [] as [&Environment; 0]
    );
}

#[test]
fn what_is_wrong_is_told_at_its_place() {
    let text = "
Staging: { namespace: shop }
production:
  namespace: Shop_1
  branch: main
  after: stagin
  approvals: { required: 1 }
  freeze: []
  on_failure: rollbak
staging: { branches: 'x?', after: staging }
a: { namespace: a, after: b }
b: { namespace: b, after: c }
c: { namespace: c, after: a }
d: []
";
    insta::assert_snapshot!(problems(text));
}

#[test]
fn the_number_of_environments_is_bounded() {
    let text: String = (0..51)
        .map(|n| format!("e{n}: {{ namespace: x }}\n"))
        .collect();
    assert_eq!(
        problems(&text),
        "1:1: the file has 51 environments; at most 50 may be"
    );
    assert_eq!(problems(""), "1:1: the file is empty");
    assert_eq!(
        problems("[a]"),
        "1:1: the file must be a mapping of keys and values; this is a list"
    );
}
