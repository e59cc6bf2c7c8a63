//! From pipelines that name each other to one flat plan.

use crate::{
    Pipeline, Plan, PlannedBody, PlannedStage, Source, Stage, StageBody, StageId, StageIndex,
    caps::{AsksForMore, CapsFrom, CapsLayer, CapsOrigin, WrittenCaps},
    needs::{StagesFault, needs_of},
};

/// The longest plan we make. A pipeline that runs another twice, which runs a third twice, and so
/// on, would otherwise fill the memory from a few lines of text.
pub const MOST_STAGES: usize = 10_000;

/// How far pipelines may be nested.
const DEEPEST: usize = 32;

/// Why no plan can be made from a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It, or one that it runs, has no stages.
    #[error("pipeline `{pipeline}` has no stages")]
    Empty {
        /// The one without stages.
        pipeline: String,
    },
    /// Two stages of a pipeline have one id.
    #[error("pipeline `{pipeline}` has two stages `{stage}`")]
    SameId {
        /// The pipeline.
        pipeline: String,
        /// The id.
        stage: StageId,
    },
    /// A stage needs one that its pipeline does not have.
    #[error("stage `{stage}` of pipeline `{pipeline}` needs `{need}`, which is no stage of it")]
    UnknownNeed {
        /// The pipeline.
        pipeline: String,
        /// The stage.
        stage: StageId,
        /// What it needs.
        need: StageId,
    },
    /// Stages of a pipeline need each other.
    #[error("stages of pipeline `{pipeline}` need each other: {}", ring(.stages))]
    NeedsCycle {
        /// The pipeline.
        pipeline: String,
        /// Each needs the next, and the last needs the first.
        stages: Vec<StageId>,
    },
    /// A stage runs a pipeline that does not exist.
    #[error(
        "stage `{stage}` of pipeline `{pipeline}` runs pipeline `{target}`, which does not exist"
    )]
    UnknownPipeline {
        /// The pipeline of the stage.
        pipeline: String,
        /// The stage.
        stage: StageId,
        /// What it runs.
        target: String,
    },
    /// A pipeline runs itself, by way of others or at once.
    #[error("pipeline `{}` runs itself: {}", .pipelines[0], ring(.pipelines))]
    PipelineCycle {
        /// Each runs the next, and the last runs the first.
        pipelines: Vec<String>,
    },
    /// A stage is named as if it were within another one.
    #[error(
        "stage `{stage}` of pipeline `{pipeline}` has a `/` in its id, which only stages of sub-pipelines have"
    )]
    NestedId {
        /// The pipeline.
        pipeline: String,
        /// The id.
        stage: StageId,
    },
    /// Pipelines run pipelines run pipelines.
    #[error("pipeline `{pipeline}` runs pipelines within pipelines, more than {DEEPEST} deep")]
    TooDeep {
        /// The outermost.
        pipeline: String,
    },
    /// What is said of a stage's caps is more than it may have.
    #[error("stage `{stage}`: {fault}")]
    Caps {
        /// The stage.
        stage: StageId,
        /// Who asks for what, and who does not allow it.
        fault: Box<AsksForMore>,
    },
    /// The plan would be too long.
    #[error("pipeline `{pipeline}` comes to more than {MOST_STAGES} stages")]
    TooLong {
        /// The outermost.
        pipeline: String,
    },
}

/// `a` -> `b` -> `a`
fn ring(names: &[impl std::fmt::Display]) -> String {
    let names: Vec<String> =
        names.iter().chain(names.first()).map(|name| format!("`{name}`")).collect();
    names.join(" -> ")
}

impl Plan {
    /// The plan of `pipeline`; `find` gives the pipelines that it runs. Where nothing says
    /// otherwise, `max_parallel` stages run at one time; the smallest number that any pipeline of
    /// the plan says holds for the whole plan.
    pub fn resolve<'a>(
        pipeline: &'a Pipeline,
        find: impl Fn(&str) -> Option<&'a Pipeline>,
        max_parallel: usize,
    ) -> Result<Self, PlanError> {
        let mut flat = Flat { find, root: pipeline, path: vec![], limit: None, stages: vec![] };
        flat.lay(pipeline, None)?;
        Ok(Self {
            pipeline: pipeline.id.clone(),
            title: pipeline.title.as_ref().unwrap_or(&pipeline.id).clone(),
            source: pipeline.source.clone(),
            max_parallel: flat.limit.unwrap_or(max_parallel).max(1),
            caps: written(pipeline.caps.as_deref(), &pipeline.source, 0, false),
            stages: flat.stages,
            left_out: vec![],
        })
    }
}

/// A plan being laid out.
struct Flat<'a, Find> {
    find: Find,
    root: &'a Pipeline,
    /// The pipelines that we are inside of, outermost first.
    path: Vec<&'a str>,
    /// The smallest written `max_parallel`.
    limit: Option<usize>,
    stages: Vec<PlannedStage>,
}

impl<'a, Find: Fn(&str) -> Option<&'a Pipeline>> Flat<'a, Find> {
    fn lay(&mut self, pipeline: &'a Pipeline, within: Option<StageIndex>) -> Result<(), PlanError> {
        if let Some(start) = self.path.iter().position(|&id| id == pipeline.id) {
            let pipelines = self.path[start..].iter().map(|&id| id.to_owned()).collect();
            return Err(PlanError::PipelineCycle { pipelines });
        }
        if self.path.len() == DEEPEST {
            return Err(PlanError::TooDeep { pipeline: self.root.id.clone() });
        }
        self.path.push(&pipeline.id);
        self.limit = self.limit.into_iter().chain(pipeline.max_parallel).min();

        let needs = needs_of(&pipeline.stages).map_err(|fault| told(pipeline, fault))?;
        let mut places = Vec::with_capacity(needs.len());
        for stage in &pipeline.stages {
            if stage.id.outer().is_some() {
                let (pipeline, stage) = (pipeline.id.clone(), stage.id.clone());
                return Err(PlanError::NestedId { pipeline, stage });
            }
            let place = self.put(stage, within)?;
            places.push(place);
            if let StageBody::Pipeline(target) = &stage.body {
                let Some(inner) = (self.find)(target) else {
                    return Err(PlanError::UnknownPipeline {
                        pipeline: pipeline.id.clone(),
                        stage: stage.id.clone(),
                        target: target.clone(),
                    });
                };
                if let (None, Some(title)) = (&stage.title, &inner.title) {
                    self.stages[place.get()].title.clone_from(title);
                }
                let deeper = self.path.len();
                let caps = written(inner.caps.as_deref(), &inner.source, deeper, false);
                self.stages[place.get()].caps.extend(caps);
                self.lay(inner, Some(place))?;
            }
        }
        // Only now is it known where the stages stand that are needed and written later.
        for (place, needs) in places.iter().zip(needs) {
            let needs = needs.into_iter().map(|need| places[need]).collect();
            self.stages[place.get()].needs = needs;
        }
        self.path.pop();
        Ok(())
    }

    fn put(&mut self, stage: &Stage, within: Option<StageIndex>) -> Result<StageIndex, PlanError> {
        let place = u32::try_from(self.stages.len()).ok().map(StageIndex);
        let Some(place) = place.filter(|place| place.get() < MOST_STAGES) else {
            return Err(PlanError::TooLong { pipeline: self.root.id.clone() });
        };
        self.stages.push(PlannedStage {
            id: match within {
                None => stage.id.clone(),
                Some(outer) => self.stages[outer.get()].id.join(&stage.id),
            },
            title: stage.title.clone().unwrap_or_else(|| stage.id.to_string()),
            within,
            needs: vec![],
            allow_failure: stage.allow_failure,
            summary_hint: stage.summary_hint.clone(),
            body: match &stage.body {
                StageBody::Command(command) => PlannedBody::Command(command.clone()),
                StageBody::Codex(codex) => PlannedBody::Codex(codex.clone()),
                StageBody::Pipeline(target) => PlannedBody::Pipeline(target.clone()),
            },
            caps: written(stage.caps.as_deref(), &stage.source, self.path.len() - 1, true),
            source: stage.source.clone(),
        });
        Ok(place)
    }
}

/// What a step of the plan says of caps, with where.
fn written(
    caps: Option<&CapsLayer>,
    source: &Source,
    depth: usize,
    stage: bool,
) -> Vec<WrittenCaps> {
    let place = source.to_string();
    let origin = CapsOrigin { from: CapsFrom::Step { depth, stage }, place };
    caps.map(|caps| WrittenCaps { origin, caps: caps.clone() }).into_iter().collect()
}

/// A fault in the words of people, who know stages by their ids.
fn told(pipeline: &Pipeline, fault: StagesFault) -> PlanError {
    let id = |place: usize| pipeline.stages[place].id.clone();
    let name = pipeline.id.clone();
    match fault {
        StagesFault::Empty => PlanError::Empty { pipeline: name },
        StagesFault::SameId { stage, .. } => PlanError::SameId { pipeline: name, stage: id(stage) },
        StagesFault::UnknownNeed { stage, need } => {
            let needs = pipeline.stages[stage].needs.as_deref().unwrap_or_default();
            let need = needs[need].clone();
            PlanError::UnknownNeed { pipeline: name, stage: id(stage), need }
        }
        StagesFault::Cycle(ring) => {
            let stages = ring.into_iter().map(id).collect();
            PlanError::NeedsCycle { pipeline: name, stages }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::CommandStage;

    /// Pipelines written one a line, `name: stage stage(what it needs) stage=pipeline`. The first
    /// one is resolved and shown with the number of each stage, what it is within and needs.
    fn pipelines(written: &str) -> (String, BTreeMap<String, Pipeline>) {
        let stage = |word: &str| {
            let (word, needs) = match word.split_once('(') {
                None => (word, None),
                Some((word, needs)) => (word, Some(needs.trim_end_matches(')'))),
            };
            let (id, target) = match word.split_once('=') {
                None => (word, None),
                Some((id, target)) => (id, Some(target.to_owned())),
            };
            let needs = needs.map(|needs| {
                let ids = needs.split(',').filter(|need| !need.is_empty());
                ids.map(|need| need.parse().unwrap()).collect()
            });
            Stage {
                id: id.parse().unwrap(),
                title: None,
                needs,
                allow_failure: false,
                summary_hint: None,
                body: match target {
                    Some(target) => StageBody::Pipeline(target),
                    None => StageBody::Command(CommandStage::shell("true")),
                },
                caps: None,
                source: Source::BuiltIn,
            }
        };
        let pipeline = |line: &str| {
            let (id, stages) = line.split_once(':').unwrap();
            let (id, limit) = match id.split_once('@') {
                None => (id, None),
                Some((id, limit)) => (id, Some(limit.parse().unwrap())),
            };
            Pipeline {
                id: id.to_owned(),
                title: None,
                description: None,
                stages: stages.split_whitespace().map(stage).collect(),
                max_parallel: limit,
                caps: None,
                source: Source::BuiltIn,
            }
        };
        let all: Vec<Pipeline> = written.lines().map(pipeline).collect();
        (all[0].id.clone(), all.into_iter().map(|one| (one.id.clone(), one)).collect())
    }

    fn resolved(written: &str) -> Result<Plan, PlanError> {
        let (first, all) = pipelines(written);
        Plan::resolve(&all[&first], |id| all.get(id), 4)
    }

    fn check(written: &str, expected: &str) {
        let shown = match resolved(written) {
            Err(error) => error.to_string(),
            Ok(plan) => {
                let line = |stage: &PlannedStage| {
                    let needs: Vec<_> = stage
                        .needs
                        .iter()
                        .map(|need| plan.stages[need.get()].id.as_str())
                        .collect();
                    format!("{} <- {}", stage.id, needs.join(","))
                };
                plan.stages.iter().map(line).collect::<Vec<_>>().join("; ")
            }
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn stages_of_one_pipeline_run_in_order() {
        check("ci: build test lint", "build <- ; test <- build; lint <- test");
    }

    #[test]
    fn needs_let_stages_run_side_by_side() {
        check("ci: a b() c(a,b) d(c)", "a <- ; b <- ; c <- a,b; d <- c");
        check("ci: a(b) b()", "a <- b; b <- ");
    }

    #[test]
    fn a_sub_pipeline_stands_in_its_place() {
        check(
            "all: a checks=ci z
             ci: x y"
                .replace("             ", "")
                .as_str(),
            "a <- ; checks <- a; checks/x <- ; checks/y <- checks/x; z <- checks",
        );
    }

    #[test]
    fn one_pipeline_may_run_another_twice_and_need_what_is_written_later() {
        check("all: one=ci(two) two=ci()\nci: x", "one <- two; one/x <- ; two <- ; two/x <- ");
    }

    #[test]
    fn what_cannot_run_is_refused_and_named() {
        check("ci:", "pipeline `ci` has no stages");
        check("ci: a a", "pipeline `ci` has two stages `a`");
        check("ci: a b(x)", "stage `b` of pipeline `ci` needs `x`, which is no stage of it");
        check("ci: a(b) b(a)", "stages of pipeline `ci` need each other: `a` -> `b` -> `a`");
        check("ci: a=x", "stage `a` of pipeline `ci` runs pipeline `x`, which does not exist");
        check("ci: a=ci", "pipeline `ci` runs itself: `ci` -> `ci`");
        check("z: a=x\nx: a=y\ny: a=x", "pipeline `x` runs itself: `x` -> `y` -> `x`");
        check(
            "ci: a/b",
            "stage `a/b` of pipeline `ci` has a `/` in its id, which only stages of sub-pipelines have",
        );
    }

    #[test]
    fn a_few_lines_do_not_make_an_endless_plan() {
        let doubling = |depth: usize, times: &str| {
            let line =
                |at: usize| format!("p{at}: {}\n", times.replace('_', &(at + 1).to_string()));
            (0..depth).map(line).collect::<String>() + &format!("p{depth}: x")
        };
        check(&doubling(20, "a=p_ b=p_"), "pipeline `p0` comes to more than 10000 stages");
        check(
            &doubling(40, "a=p_"),
            "pipeline `p0` runs pipelines within pipelines, more than 32 deep",
        );
    }

    #[test]
    fn the_smallest_written_limit_holds_for_the_whole_plan() {
        assert_eq!(resolved("ci: a").unwrap().max_parallel, 4);
        assert_eq!(resolved("ci@9: a").unwrap().max_parallel, 9);
        assert_eq!(resolved("ci@9: a=x\nx@2: b").unwrap().max_parallel, 2);
        assert_eq!(resolved("ci: a=x\nx@6: b").unwrap().max_parallel, 6);
    }

    prop_compose! {
        /// Sound pipelines `p0`, `p1`...: stages need earlier ones in a shuffled order of writing,
        /// and run only later pipelines.
        fn sound()(
            shapes in prop::collection::vec(
                prop::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 1..6),
                1..5,
            ),
        ) -> String {
            let mut text = String::new();
            for (at, stages) in shapes.iter().enumerate() {
                text.push_str(&format!("p{at}:"));
                let mut words: Vec<(u8, String)> = vec![];
                for (place, (order, needs, target)) in stages.iter().enumerate() {
                    let later = shapes.len() - at - 1;
                    let target = match usize::from(*target) {
                        target if later > 0 && target % 3 == 0 => {
                            format!("=p{}", at + 1 + target % later)
                        }
                        _ => String::new(),
                    };
                    let needed = (0..place).filter(|need| needs & (1 << need) != 0);
                    let needed: Vec<_> = needed.map(|need| format!("s{need}")).collect();
                    words.push((*order, format!(" s{place}{target}({})", needed.join(","))));
                }
                words.sort();
                text.extend(words.into_iter().map(|(_, word)| word));
                text.push('\n');
            }
            text.trim_end().to_owned()
        }
    }

    proptest! {
        #[test]
        fn any_sound_pipelines_give_a_plan_that_passes_its_check(written in sound()) {
            let plan = resolved(&written).unwrap();
            let stored = serde_json::to_string(&plan).unwrap();
            // Reading checks that needs are beside their stage and have no cycle.
            prop_assert_eq!(serde_json::from_str::<Plan>(&stored).unwrap(), plan);
        }

        #[test]
        fn resolving_anything_ends(words in "(p[0-3]: ([a-c](=p[0-3])?([(][a-c]?[)])? ){0,4}\n){1,4}") {
            if let Ok(plan) = resolved(words.trim_end()) {
                let stored = serde_json::to_string(&plan).unwrap();
                prop_assert!(serde_json::from_str::<Plan>(&stored).is_ok());
            }
        }
    }
}
