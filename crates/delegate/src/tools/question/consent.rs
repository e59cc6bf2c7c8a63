//! Approvals that an agent decides in the place of a person, where the settings let the parent of
//! the run that asks.

use model::{
    Act, By, ConfirmCancel, Denied, Question, Resolution, Scope, Verdict, caps::Beyond, may,
};

use super::Asked;
use crate::{caller::Station, desk::Call, fault::Fault};

/// The words for how an approval is decided.
pub(in crate::tools) fn options(scopes: &[Scope]) -> Vec<String> {
    let words = scopes.iter().filter_map(|scope| match scope {
        Scope::Once | Scope::Stage => Some("approve"),
        Scope::Run => Some("approve_run"),
        // No agent allows anything beyond the run that asks.
        Scope::Repo => None,
    });
    words.chain(["deny"]).map(ToOwned::to_owned).collect()
}

/// What such a word says.
pub(super) fn read(word: &str, scopes: &[Scope], by: By) -> Result<Resolution, Fault> {
    let approved = |scope: Option<Scope>| scope.map(|scope| (scope, by.clone()));
    let found = match word {
        "deny" => return Ok(Resolution::Denied { by, reason: None }),
        "approve" => approved(scopes.first().copied()),
        "approve_run" => approved(scopes.iter().copied().find(|scope| *scope == Scope::Run)),
        _ => None,
    };
    let (scope, by) = found.ok_or_else(|| {
        let words = options(scopes).join("`, `");
        Fault::invalid("that is none of the ways to decide it", format!("answer `{words}`"))
    })?;
    Ok(Resolution::Approved { by, scope })
}

/// Whether the caller may decide it.
pub(super) fn allowed(call: &Call<'_>, asked: &Asked) -> Result<(), Fault> {
    let run = &asked.row.run_id;
    let question = &asked.row.question;
    let snapshot = call.at(&asked.root, |engine| Ok(engine.snapshot(run)?))?;
    if question.is_for_people() || !snapshot.spec.config.approvals.by_parent {
        return Err(Fault::denied(Denied::ForPeople));
    }
    match may(&call.by()?, Act::Consent, call.kinship(&asked.by())?, ConfirmCancel::Owned) {
        Verdict::Yes => {}
        Verdict::Confirm => return Err(Fault::denied(Denied::ForPeople)),
        Verdict::No(denied) => return Err(Fault::denied(denied)),
    }
    let within = match question.beyond() {
        Some(what) => reaches(call, &what)?,
        None => is_held(&snapshot, question),
    };
    if within { Ok(()) } else { Err(Fault::denied(Denied::ForPeople)) }
}

/// Whether the caller reaches itself what it would let its child reach. A session has no caps of ours:
/// it may let its runs reach what it could have wished for when it started them. Of hosts that is all
/// that they may ask for, and of tools nothing.
fn reaches(call: &Call<'_>, what: &Beyond) -> Result<bool, Fault> {
    let Station::Run(own) = &call.caller.station else { return Ok(what.host().is_some()) };
    let snapshot = call.here(|engine| Ok(engine.snapshot(own)?))?;
    Ok(snapshot.run.reaches(&snapshot.spec, what))
}

/// Whether what is approved is held to caps, which are never wider than those of the parent.
fn is_held(snapshot: &engine::Snapshot, question: &Question) -> bool {
    let stage = question.stage_id.as_ref().and_then(|stage| snapshot.spec.plan.find(stage));
    let cage = stage.and_then(|stage| snapshot.run.cage(stage).0);
    cage.is_some_and(|cage| !cage["enforced"].is_null())
}
