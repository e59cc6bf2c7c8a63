//! What layers come to, told as a few lines of what they say, and what holds of any layers at all.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{axis::Axis, *};

const DELEGATED: Standing = Standing::Delegated;
const FREE: Standing = Standing::Free;

fn from(word: &str) -> CapsFrom {
    match word {
        "user" => CapsFrom::User,
        "repo" => CapsFrom::Repo,
        "pipeline" => CapsFrom::Step { depth: 0, stage: false },
        "stage" => CapsFrom::Step { depth: 0, stage: true },
        "environment" => CapsFrom::Environment,
        "line" => CapsFrom::CommandLine,
        "parent" => CapsFrom::Parent,
        "spawn" => CapsFrom::Spawn,
        other => panic!("nobody is `{other}`"),
    }
}

/// One layer a line: who says it, and `cap=value` in JSON.
fn layers(written: &str) -> Vec<WrittenCaps> {
    let layer = |line: &str| {
        let (who, said) = line.trim().split_once(' ').unwrap();
        let mut json = serde_json::json!({});
        for word in said.split_whitespace() {
            let (cap, value) = word.split_once('=').unwrap();
            let value: serde_json::Value = serde_json::from_str(value).unwrap();
            match cap.split_once('.') {
                Some((group, name)) => json[group][name] = value,
                None => json[cap] = value,
            }
        }
        let origin = CapsOrigin { from: from(who), place: String::new() };
        WrittenCaps { origin, caps: serde_json::from_value(json).unwrap() }
    };
    written.lines().filter(|line| !line.trim().is_empty()).map(layer).collect()
}

/// What a cap comes to, with who made it so; or the error.
fn check(standing: Standing, written: &str, cap: &str, expected: &str) {
    let shown = match Effective::of(standing, &layers(written)) {
        Err(error) => error.to_string(),
        Ok(effective) => {
            let json = serde_json::to_value(&effective.caps).unwrap();
            let value = cap.split('.').fold(&json, |value, key| &value[key]);
            let from = effective.origins[cap].iter().map(ToString::to_string);
            let warned = effective.warnings.iter().map(|warning| format!("; {warning}"));
            format!(
                "{value} by {}{}",
                from.collect::<Vec<_>>().join(" and "),
                warned.collect::<String>()
            )
        }
    };
    assert_eq!(shown, expected);
}

#[test]
fn where_nothing_is_written_people_are_free_and_agents_are_not() {
    check(FREE, "", "network.mode", r#""open" by what is built in"#);
    check(FREE, "", "fs.write", r#"["/"] by what is built in"#);
    check(DELEGATED, "", "network.mode", r#""none" by what is built in"#);
    check(DELEGATED, "", "fs.write", r#"["@worktree","@tmp"] by what is built in"#);
}

#[test]
fn what_is_written_stands_in_the_place_of_what_is_built_in() {
    check(DELEGATED, r#"repo network.mode="list""#, "network.mode", r#""list" by the repository"#);
    check(DELEGATED, r#"user fs.write=["/srv"]"#, "fs.write", r#"["/srv"] by the user's file"#);
    check(FREE, r#"repo network.mode="none""#, "network.mode", r#""none" by the repository"#);
    check(FREE, r#"repo network.mode="none""#, "fs.write", r#"["/"] by what is built in"#);
}

#[test]
fn whoever_lists_hosts_wants_a_list() {
    check(
        DELEGATED,
        r#"repo network.allow=["a.example"]"#,
        "network.mode",
        r#""list" by the repository"#,
    );
    check(
        FREE,
        r#"repo network.allow=["a.example"]"#,
        "network.mode",
        r#""list" by the repository"#,
    );
    let written = r#"repo max_network="list" network.allow=["a.example"]"#;
    check(DELEGATED, written, "network.mode", r#""none" by what is built in"#);
}

#[test]
fn what_is_given_of_tools_is_what_may_be_asked_for_where_nothing_else_is_said() {
    let repo = r#"repo tools.mcp={"t":["a"]}"#;
    let both = r#"repo tools.mcp={"t":["a"]} tools.may_ask={"t":["b"]}"#;
    check(DELEGATED, repo, "tools.may_ask", r#"{"t":["a"]} by the repository"#);
    check(DELEGATED, both, "tools.may_ask", r#"{"t":["a","b"]} by the repository"#);
    check(DELEGATED, both, "tools.mcp", r#"{"t":["a"]} by the repository"#);
    // A stage that narrows itself may still ask for what is given to others.
    let stage = format!("{both}\nstage tools.mcp={{}} tools.may_ask={{\"t\":[\"*\"]}}");
    check(
        DELEGATED,
        &stage,
        "tools.may_ask",
        "the stage asks for `caps.tools.may_ask` t: *, which is more than the repository allows",
    );
    let stage = format!("{both}\nstage tools.mcp={{}} tools.may_ask={{\"t\":[\"a\"]}}");
    check(DELEGATED, &stage, "tools.may_ask", r#"{"t":["a"]} by the stage"#);
    let user = format!("user tools.mcp={{\"t\":[\"a\"]}}\n{both}");
    check(
        DELEGATED,
        &user,
        "tools.may_ask",
        "the repository asks for `caps.tools.may_ask` t: b, which is more than the user's file allows",
    );
}

#[test]
fn each_layer_can_only_narrow_and_an_error_names_both() {
    let written = "user network.allow=[\"**.example\"]\nrepo network.allow=[\"a.example\"]";
    check(DELEGATED, written, "network.allow", r#"["a.example"] by the repository"#);
    let written =
        "user network.allow=[\"a.example\"]\nrepo network.allow=[\"a.example\",\"b.example\"]";
    check(
        DELEGATED,
        written,
        "network.allow",
        "the repository asks for `caps.network.allow` b.example, which is more than the user's file allows",
    );
    let written = "repo fs.write=[\"@worktree\"]\nstage fs.write=[\"@worktree/a\",\"/etc\"]";
    check(
        FREE,
        written,
        "fs.write",
        "the stage asks for `caps.fs.write` /etc, which is more than the repository allows",
    );
    let written = "repo network.mode=\"none\"\nline network.mode=\"open\"";
    check(
        FREE,
        written,
        "network.mode",
        "the command line asks for `caps.network.mode` open, which is more than the repository allows",
    );
}

#[test]
fn a_ceiling_alone_is_a_bound_as_well() {
    let written = "user max_network=\"none\"\nrepo network.mode=\"list\"";
    check(
        FREE,
        written,
        "network.mode",
        "the repository asks for `caps.network.mode` list, which is more than the user's file allows",
    );
    let within = "repo max_network=\"list\"\nstage network.mode=\"list\"";
    check(DELEGATED, within, "network.mode", r#""list" by the stage"#);
}

#[test]
fn the_environment_is_not_given_more_and_that_is_said() {
    let written = "repo network.mode=\"none\"\nenvironment network.mode=\"open\"";
    check(
        FREE,
        written,
        "network.mode",
        "\"none\" by the repository; the environment asks for `caps.network.mode` open, which is more than \
         the repository allows",
    );
    // Neither is what is built in its to replace.
    check(
        DELEGATED,
        "environment tools.web_search=true",
        "tools.web_search",
        "false by what is built in; the environment asks for `caps.tools.web_search` true, which is more \
         than what is built in allows",
    );
}

#[test]
fn a_repository_cannot_lift_what_is_protected_and_a_person_can() {
    let all = r#"["@worktree/.agents","@worktree/.codex","@worktree/x","@git","@config","@runs"]"#;
    check(
        DELEGATED,
        r#"repo fs.protect=["x"]"#,
        "fs.protect",
        &format!("{all} by what is built in and the repository"),
    );
    let lifted = "user fs.protect=[]";
    check(DELEGATED, lifted, "fs.protect", "[] by the user's file");
    let both = "user fs.protect=[]\nrepo fs.protect=[\"x\"]";
    check(DELEGATED, both, "fs.protect", r#"["@worktree/x"] by the repository"#);
    check(DELEGATED, "repo fs.hide=[]", "fs.hide", r#"["@logins"] by what is built in"#);
}

#[test]
fn who_hides_one_more_place_uncovers_none() {
    for who in ["user", "line", "repo", "spawn"] {
        let written = format!(r#"{who} fs.hide=["~/mine"]"#);
        let effective = Effective::of(DELEGATED, &layers(&written)).unwrap();
        let hidden: Vec<String> = effective.caps.fs.hide.iter().map(ToString::to_string).collect();
        assert_eq!(hidden, ["~/mine", "@logins"], "{who}");
    }
    let both = "user fs.hide=[]\nline fs.hide=[\"~/mine\"]";
    check(DELEGATED, both, "fs.hide", r#"["~/mine"] by the command line"#);
    check(FREE, r#"repo fs.hide=["@logins"]"#, "fs.hide", r#"["@logins"] by the repository"#);
}

#[test]
fn the_whole_network_is_the_repositorys_to_give_to_agents() {
    check(
        DELEGATED,
        r#"user network.mode="open""#,
        "network.mode",
        r#""none" by what is built in"#,
    );
    let both = "user network.mode=\"open\"\nrepo network.mode=\"open\"";
    check(DELEGATED, both, "network.mode", r#""open" by the user's file"#);
    check(DELEGATED, r#"repo network.mode="open""#, "network.mode", r#""open" by the repository"#);
}

#[test]
fn pins_and_going_on_without_caps_are_for_persons_to_say() {
    check(DELEGATED, r#"repo on_missing="warn""#, "on_missing", r#""refuse" by what is built in"#);
    check(DELEGATED, r#"user on_missing="warn""#, "on_missing", r#""warn" by the user's file"#);
    check(
        DELEGATED,
        r#"stage network.pins={"a.b":["10.0.0.1"]}"#,
        "network.pins",
        "{} by what is built in",
    );
}

#[test]
fn a_wish_narrows_and_reaches_as_far_as_the_ceiling() {
    let repo = "repo max_network=\"list\" network.allow=[\"a.example\",\"b.example\"]\n";
    let wish = |wish: &str| format!("{repo}spawn {wish}");
    check(DELEGATED, repo, "network.mode", r#""none" by what is built in"#);
    check(DELEGATED, &wish(r#"network.mode="list""#), "network.mode", r#""list" by the wish"#);
    let narrower = wish(r#"network.allow=["a.example"]"#);
    check(DELEGATED, &narrower, "network.mode", r#""list" by the wish"#);
    check(DELEGATED, &narrower, "network.allow", r#"["a.example"] by the wish"#);
    check(
        DELEGATED,
        &wish(r#"network.mode="open""#),
        "network.mode",
        "the wish asks for `caps.network.mode` open, which is more than the repository allows",
    );
    check(
        DELEGATED,
        r#"spawn network.mode="list""#,
        "network.mode",
        "the wish asks for `caps.network.mode` list, which is more than what is built in allows",
    );
    check(
        DELEGATED,
        r#"spawn fs.write=["/"]"#,
        "fs.write",
        "the wish asks for `caps.fs.write` /, which is more than what is built in allows",
    );
}

#[test]
fn a_child_has_no_more_than_its_parent() {
    let parent = |written: &str| {
        let parent = Effective::of(DELEGATED, &layers(written)).unwrap().caps;
        let origin = CapsOrigin { from: CapsFrom::Parent, place: String::new() };
        WrittenCaps { origin, caps: parent.grant() }
    };
    let repo = "repo max_network=\"list\" network.mode=\"list\" network.allow=[\"a.example\",\"b.example\"]\n";
    let narrow = parent(&format!("{repo}spawn network.allow=[\"a.example\"]"));
    let mut child = layers(repo);
    child.push(narrow);
    let effective = Effective::of(DELEGATED, &child).unwrap();
    assert_eq!(effective.caps.network.allow.iter().count(), 1);
    assert_eq!(effective.warnings, []);
    child.extend(layers(r#"spawn network.allow=["b.example"]"#));
    let error = Effective::of(DELEGATED, &child).unwrap_err().to_string();
    assert_eq!(
        error,
        "the wish asks for `caps.network.allow` b.example, which is more than the run that starts it allows"
    );
    // What a person started is no bound for what is listed.
    let mut child = layers(repo);
    let origin = CapsOrigin { from: CapsFrom::Parent, place: String::new() };
    child.push(WrittenCaps { origin, caps: FREE.built_in().grant() });
    let effective = Effective::of(DELEGATED, &child).unwrap();
    assert_eq!(effective.caps.network.allow.iter().count(), 2);
    assert_eq!(effective.caps.network.mode, NetworkMode::List);
}

#[test]
fn without_a_whole_network_there_are_no_sockets_that_nobody_named() {
    check(FREE, r#"repo network.mode="list""#, "fs.unix_sockets", r#""deny" by what is built in"#);
    let named = r#"repo network.mode="list" fs.unix_sockets="private""#;
    check(FREE, named, "fs.unix_sockets", r#""private" by the repository"#);
    check(FREE, r#"repo fs.hide=["~/.ssh"]"#, "fs.unix_sockets", r#""allow" by what is built in"#);
}

fn hosts() -> impl Strategy<Value = Hosts> {
    const SOME: &[&str] = &[
        "example",
        "a.example",
        "b.example",
        "x.a.example",
        "*.example",
        "**.example",
        "*.a.example",
        "**.a.example",
        "a.example:80",
        "*.example:80",
        "10.0.0.1",
    ];
    vec(select(SOME), 0..5)
        .prop_map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect())
}

fn paths<T: FromIterator<CapPath> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    const SOME: &[&str] =
        &["/", "/a", "/a/b", "/ab", "@worktree", "x", "x/y", "@tmp", "~", "~/.ssh", "@git"];
    vec(select(SOME), 0..5)
        .prop_map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect())
}

fn names() -> impl Strategy<Value = Names> {
    vec(select(&["A", "B", "C", "*"][..]), 0..4)
        .prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

fn table() -> impl Strategy<Value = Table> {
    let entries =
        proptest::collection::btree_map(select(&["alpha", "beta", "*"][..]), names(), 0..3);
    entries.prop_map(|entries| {
        let entries = entries.into_iter().map(|(owner, names)| (owner.to_owned(), names));
        entries.collect::<std::collections::BTreeMap<_, _>>().into()
    })
}

fn pins() -> impl Strategy<Value = Pins> {
    let addresses = vec(select(&["10.0.0.1", "10.0.0.2"][..]), 1..3);
    proptest::collection::btree_map(select(&["a.example", "b.example"][..]), addresses, 0..3)
        .prop_map(|pins| {
            let read = |(host, addresses): (&str, Vec<&str>)| {
                (
                    host.parse().unwrap(),
                    addresses.iter().map(|text| text.parse().unwrap()).collect(),
                )
            };
            pins.into_iter().map(read).collect()
        })
}

fn layer() -> impl Strategy<Value = CapsLayer> {
    let forward = vec(select(&["127.0.0.1:1", "127.0.0.1:2", "[::1]:1"][..]), 0..3);
    let forward =
        forward.prop_map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect());
    let network = (
        option::of(select(NetworkMode::ALL)),
        option::of(hosts()),
        option::of(forward),
        option::of(pins()),
    );
    let fs = (
        option::of(paths::<Granted>()),
        option::of(paths::<Withheld>()),
        option::of(paths::<Withheld>()),
        option::of(select(Tmp::ALL)),
        option::of(select(Caches::ALL)),
        option::of(select(UnixSockets::ALL)),
    );
    let env = (option::of(select(Inherit::ALL)), option::of(names()), option::of(table()));
    let tools = (
        option::of(table()),
        option::of(table()),
        option::of(names().prop_map(DelegateTools::from)),
        option::of(any::<bool>()),
        option::of(any::<bool>()),
    );
    let rest = (
        option::of(select(NetworkMode::ALL)),
        option::of(select(OnMissing::ALL)),
        option::of(any::<bool>()),
    );
    (network, fs, env, tools, rest).prop_map(|(network, fs, env, tools, rest)| CapsLayer {
        network: NetworkLayer {
            mode: network.0,
            allow: network.1,
            forward: network.2,
            pins: network.3,
        },
        fs: FsLayer {
            write: fs.0,
            protect: fs.1,
            hide: fs.2,
            tmp: fs.3,
            caches: fs.4,
            unix_sockets: fs.5,
        },
        env: EnvLayer { inherit: env.0, pass: env.1, secrets: env.2 },
        tools: ToolLayer {
            mcp: tools.0,
            may_ask: tools.1,
            delegate: tools.2,
            web_search: tools.3,
            subagents: tools.4,
        },
        max_network: rest.0,
        on_missing: rest.1,
        ask: rest.2,
    })
}

fn written() -> impl Strategy<Value = WrittenCaps> {
    const WHO: &[&str] =
        &["user", "repo", "pipeline", "stage", "environment", "line", "parent", "spawn"];
    (select(WHO), layer()).prop_map(|(who, caps)| WrittenCaps {
        origin: CapsOrigin { from: from(who), place: String::new() },
        caps,
    })
}

proptest! {
    #[test]
    fn a_meet_is_one(one in layer(), two in layer(), three in layer()) {
        prop_assert_eq!(one.meet(&one), one.clone());
        prop_assert_eq!(one.meet(&two), two.meet(&one));
        prop_assert_eq!(one.meet(&two).meet(&three), one.meet(&two.meet(&three)));
        prop_assert_eq!(one.meet(&CapsLayer::default()), one.clone());
        let both = one.meet(&two);
        prop_assert_eq!(both.beyond(&one), vec![]);
        prop_assert_eq!(both.beyond(&two), vec![]);
        // It is the most that both allow: whatever is within both is within it.
        if three.beyond(&one).is_empty() && three.beyond(&two).is_empty() {
            prop_assert_eq!(three.beyond(&both), vec![]);
        }
    }

    #[test]
    fn a_host_is_in_the_meet_when_it_is_in_both(
        one in hosts(),
        two in hosts(),
        name in select(&["example", "a.example", "q.example", "x.a.example", "q.x.a.example", "10.0.0.1", "other"][..]),
        port in select(&[80_u16, 443][..]),
    ) {
        let host = name.parse().unwrap();
        prop_assert_eq!(one.meet(&two).has(&host, port), one.has(&host, port) && two.has(&host, port));
        let again: Hosts = one.iter().cloned().collect();
        prop_assert_eq!(&again, &one);
    }

    #[test]
    fn a_path_is_in_the_meet_when_it_is_in_both(
        one in paths::<Granted>(),
        two in paths::<Granted>(),
        path in select(&["/", "/a", "/a/b/c", "/ab", "x/y/z", "@tmp/q", "~/.ssh/id", "@git/hooks"][..]),
    ) {
        let path = path.parse().unwrap();
        prop_assert_eq!(one.meet(&two).has(&path), one.has(&path) && two.has(&path));
    }

    #[test]
    fn what_holds_is_no_more_than_any_layer_and_the_same_in_any_order(
        free in any::<bool>(),
        layers in vec(written(), 0..5),
        turn in 0_usize..5,
    ) {
        let standing = if free { FREE } else { DELEGATED };
        let mut layers = layers;
        for (place, layer) in layers.iter_mut().enumerate() {
            layer.origin.place = place.to_string();
        }
        let result = Effective::of(standing, &layers);
        let mut turned = layers.clone();
        turned.rotate_left(turn.min(layers.len()));
        turned.reverse();
        prop_assert_eq!(&Effective::of(standing, &turned), &result);
        let mut twice = layers.clone();
        twice.extend(layers.iter().cloned());
        let caps = |all: Result<Effective, Box<AsksForMore>>| all.map(|all| all.caps);
        prop_assert_eq!(caps(Effective::of(standing, &twice)), caps(result.clone()));
        let Ok(Effective { caps, origins, .. }) = result else { return Ok(()) };
        prop_assert_eq!(origins.len(), CAPS.len());
        for WrittenCaps { origin, caps: said } in &layers {
            let mut bound = said.clone();
            // A wish may ask for what the others keep in reserve.
            if layers.iter().any(|layer| layer.origin.from == CapsFrom::Spawn) && origin.from != CapsFrom::Spawn {
                bound.network.mode = bound.max_network.or(bound.network.mode);
            }
            // What is given need not be asked for.
            let given = said.tools.mcp.clone().unwrap_or(Table::NONE).and(&caps.tools.mcp);
            bound.tools.may_ask = bound.tools.may_ask.map(|besides| besides.and(&given));
            // Nobody listens to pins that no person has said.
            if !matches!(origin.from, CapsFrom::User | CapsFrom::CommandLine | CapsFrom::Parent) {
                bound.network.pins = None;
            }
            prop_assert_eq!(caps.to_layer().beyond(&bound), vec![], "{:?}", origin);
        }
        let holder = CapsOrigin { from: CapsFrom::Parent, place: String::new() };
        let grant = WrittenCaps { origin: holder, caps: caps.grant() };
        // What is granted on is never more than what there was.
        if let Ok(child) = Effective::of(DELEGATED, std::slice::from_ref(&grant)) {
            prop_assert_eq!(child.caps.to_layer().beyond(&grant.caps), vec![]);
        }
        prop_assert!(caps.network.mode <= caps.max_network);
    }
}
