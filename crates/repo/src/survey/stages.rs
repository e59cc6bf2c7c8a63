//! The checks that were found, as the stages of one pipeline.

use std::collections::BTreeSet;

use model::{CommandLine, CommandStage, Pipeline, Source, Stage, StageBody, StageId};

use super::{
    Site,
    finding::{Check, Role},
};

/// The checks of all projects, one after the other as a person would run them.
pub(super) fn pipeline(sites: Vec<Site<'_>>) -> Option<Pipeline> {
    let groups = sites
        .iter()
        .flat_map(|site| &site.findings)
        .filter(|finding| !finding.checks.is_empty())
        .count();
    let whats: Vec<String> = sites
        .iter()
        .flat_map(Site::projects)
        .map(|project| {
            let place =
                if project.path == "." { String::new() } else { format!(" in {}/", project.path) };
            format!("{}{place}", project.what)
        })
        .collect();
    let mut stages: Vec<Stage> = Vec::new();
    let mut taken = BTreeSet::new();
    for site in sites {
        let several = site.findings.iter().filter(|finding| !finding.checks.is_empty()).count() > 1;
        for finding in site.findings {
            let place = words(&site.folder.at);
            let label = match (groups, place.as_str()) {
                (0 | 1, _) => String::new(),
                (_, "") => format!("{}:", finding.ecosystem.tag()),
                (_, place) if several => format!("{place}:{}:", finding.ecosystem.tag()),
                (_, place) => format!("{place}:"),
            };
            let ids: Vec<StageId> = finding
                .checks
                .iter()
                .map(|check| free_id(&label, &check.name, &mut taken))
                .collect();
            let roles: Vec<Role> = finding.checks.iter().map(|check| check.role).collect();
            for (check, id) in finding.checks.into_iter().zip(&ids) {
                let before =
                    ids.iter().zip(&roles).filter(|(_, role)| needs(&check, **role, &roles));
                let needs = before.map(|(id, _)| id.clone()).collect();
                stages.push(stage(check, id.clone(), needs, site.folder));
            }
        }
    }
    let source = stages.first()?.source.clone();
    Some(Pipeline {
        id: super::PIPELINE.to_owned(),
        title: Some("Diagnostics".to_owned()),
        description: Some(format!("Checks what was recognised: {}", whats.join(", "))),
        stages,
        // One at a time: compilers and test runners use all there is by themselves.
        max_parallel: Some(1),
        caps: None,
        source,
    })
}

/// Whether `check` waits for one of that role. Linting does not stand before testing: a fault of
/// form must not hide what the tests would say.
fn needs(check: &Check, role: Role, all: &[Role]) -> bool {
    match (check.role, role) {
        (Role::Configure, _) => false,
        (Role::Build, Role::Configure) => true,
        (Role::Lint | Role::Whole | Role::Test, Role::Build) => !check.alone,
        (Role::Lint | Role::Whole | Role::Test, Role::Configure) => {
            !check.alone && !all.contains(&Role::Build)
        }
        _ => false,
    }
}

fn stage(check: Check, id: StageId, needs: Vec<StageId>, folder: &super::Folder) -> Stage {
    let body = CommandStage {
        command: CommandLine::Shell(check.command),
        cwd: (!folder.at.is_empty()).then(|| folder.at.clone()),
        env: check.env,
        timeout: None,
        retries: 0,
    };
    Stage {
        id,
        title: None,
        needs: Some(needs),
        allow_failure: check.allow_failure,
        summary_hint: None,
        body: StageBody::Command(body),
        caps: None,
        source: Source::Recognised { path: folder.below(&check.told_by) },
    }
}

/// A path as a part of an id: `apps/web` is `apps-web`.
fn words(path: &str) -> String {
    let mut words = String::new();
    for c in path.chars() {
        let c = if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '-' };
        if !(matches!(c, '-' | '.') && words.ends_with(['-', '.'])) {
            words.push(c);
        }
    }
    // The whole id has room for 128 letters.
    words.trim_matches(['-', '.', '_']).chars().take(60).collect()
}

/// An id that no other stage has.
fn free_id(label: &str, name: &str, taken: &mut BTreeSet<String>) -> StageId {
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || ":_-".contains(c) { c } else { '-' })
        .collect();
    let plain = format!("{label}{name}");
    let numbered = (2..).map(|number| format!("{plain}-{number}"));
    let mut free = std::iter::once(plain.clone()).chain(numbered);
    loop {
        if let Some(Ok(id)) = free.find(|id| taken.insert(id.clone())).map(|id| id.parse()) {
            return id;
        }
    }
}
